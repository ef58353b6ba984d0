/* What would run: the script, and the systemd unit. */
#include "commands/doctor.h"

#include "base/memory.h"
#include "commands/program.h"
#include "script/inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKED_ID "00000000-0000-4000-8000-000000000000" /* of nobody: nothing is sent */
#define SYSTEMCTL_MS 5000

/* false: `problem` says why it does not load. */
static bool load(const struct doctor *doctor, char *problem, size_t size)
{
    struct molecule_options host = {.workers = 1, .ca_file = doctor->ca_file};
    struct molecule_workspace_options workspace = doctor->workspace;
    workspace.id = CHECKED_ID;
    struct molecule *molecule = molecule_open(&host, problem, size);
    bool loads = molecule && molecule_load(molecule, &workspace, problem, size);
    molecule_close(molecule);
    return loads;
}

static void tell_findings(struct doctor *doctor, const struct script_findings *findings)
{
    const struct script_finding *first = findings->count > 0 ? &findings->list[0] : NULL;
    for (size_t i = 0; i < findings->count; i++)
        if (findings->list[i].error) {
            first = &findings->list[i];
            break;
        }
    char *fix = memory_format("molecule check %s shows each place", doctor->workspace.script);
    if (!first)
        doctor_tell(doctor, DOCTOR_SCRIPT, DOCTOR_OK, NULL, "%s loads", doctor->workspace.script);
    else
        doctor_tell(doctor, DOCTOR_SCRIPT, findings->errors > 0 ? DOCTOR_FAILED : DOCTOR_WARNING,
                    fix, "%s:%d: %s (%zu in all)", first->path, first->line, first->text,
                    findings->count);
    free(fix);
}

static void check_script(struct doctor *doctor)
{
    char problem[4096], unreadable[1024];
    struct script_findings findings;
    const char *path = doctor->workspace.script;
    if (!path) {
        doctor_tell(doctor, DOCTOR_SCRIPT, DOCTOR_SKIPPED, NULL, "no --script");
        return;
    }
    if (access(path, R_OK) != 0) {
        doctor_tell(doctor, DOCTOR_SCRIPT, DOCTOR_FAILED,
                    "--script with a file that this user may read", "%s: %s", path,
                    strerror(errno));
        return;
    }
    bool loads = load(doctor, problem, sizeof problem);
    if (!script_inspect(&findings, path, loads ? NULL : problem, unreadable, sizeof unreadable)) {
        doctor_tell(doctor, DOCTOR_SCRIPT, DOCTOR_FAILED,
                    "--script with a file that this user may read", "%s: %s", path, unreadable);
        return;
    }
    tell_findings(doctor, &findings);
    script_findings_free(&findings);
}

/* Of "KEY=value" lines; "" where it is not there. */
static const char *property(const char *lines, const char *key, char *value, size_t size)
{
    size_t length = strlen(key);
    *value = '\0';
    for (const char *line = lines; line && *line; line += strspn(line, "\n")) {
        size_t end = strcspn(line, "\n");
        if (end > length && strncmp(line, key, length) == 0 && line[length] == '=')
            snprintf(value, size, "%.*s", (int)(end - length - 1), line + length + 1);
        line += end;
    }
    return value;
}

static void tell_unit(struct doctor *doctor, const char *unit, const char *lines)
{
    char loaded[64], active[64], result[64], code[16], restarts[16];
    property(lines, "LoadState", loaded, sizeof loaded);
    property(lines, "ActiveState", active, sizeof active);
    property(lines, "Result", result, sizeof result);
    property(lines, "ExecMainStatus", code, sizeof code);
    property(lines, "NRestarts", restarts, sizeof restarts);
    char *log = memory_format("journalctl -u %s -n 50 says why; then systemctl start %s", unit,
                              unit);
    if (strcmp(loaded, "not-found") == 0 || !*loaded)
        doctor_tell(doctor, DOCTOR_UNIT, DOCTOR_SKIPPED, NULL, "there is no %s", unit);
    else if (strcmp(loaded, "loaded") != 0)
        doctor_tell(doctor, DOCTOR_UNIT, DOCTOR_FAILED, "systemd-analyze verify shows what",
                    "%s does not load: %s", unit, loaded);
    else if (strcmp(active, "active") == 0)
        doctor_tell(doctor, DOCTOR_UNIT, DOCTOR_OK, NULL, "%s is active, restarted %s times", unit,
                    *restarts ? restarts : "0");
    else if (strcmp(active, "failed") == 0 || strcmp(active, "activating") == 0)
        doctor_tell(doctor, DOCTOR_UNIT, DOCTOR_FAILED, log,
                    "%s is %s: %s, exit code %s, restarted %s times", unit, active, result, code,
                    *restarts ? restarts : "0");
    else
        doctor_tell(doctor, DOCTOR_UNIT, DOCTOR_WARNING, log, "%s is %s", unit, active);
    free(log);
}

static void check_unit(struct doctor *doctor)
{
    if (!doctor->workspace.id) {
        doctor_tell(doctor, DOCTOR_UNIT, DOCTOR_SKIPPED, NULL, "needs a workspace id");
        return;
    }
    struct buffer lines;
    char *unit = memory_format("molecule@%s.service", doctor->workspace.id);
    const char *const words[] = {"systemctl", "show",
                                 "--property=LoadState,ActiveState,Result,ExecMainStatus,NRestarts",
                                 unit, NULL};
    buffer_init(&lines, 4096);
    if (program_run(words, SYSTEMCTL_MS, &lines) != 0)
        doctor_tell(doctor, DOCTOR_UNIT, DOCTOR_SKIPPED, NULL, "no systemd answers here");
    else
        tell_unit(doctor, unit, lines.data);
    buffer_free(&lines);
    free(unit);
}

void doctor_check_service(struct doctor *doctor)
{
    check_script(doctor);
    check_unit(doctor);
}

/* What the platform says of the workspace and its token. Only what changes nothing there is asked.
 */
#include "commands/doctor.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "commands/local_state.h"
#include "host/checks.h"
#include "link/token.h"
#include "net/http_probe.h"
#include "wire/jsontext.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000
#define BODY_MAXIMUM ((size_t)64 << 20)
#define OTHERS_MAXIMUM 1000 /* workspaces whose tokens are compared */
#define PEERS_SHOWN 5
#define LOW_RATE 10 /* percent */

struct answer {
    struct http_probe probe;
    json_t *body; /* NULL: not JSON */
    char text[256];
};

static void ask(struct doctor *doctor, struct platform_request request, bool stream,
                struct answer *answer)
{
    struct http_probe *probe = &answer->probe;
    http_probe(&(struct http_probe_request){.url = request.url,
                                            .headers = platform_headers_lines(request.headers),
                                            .ca_file = doctor->ca_file,
                                            .timeout_ms = TIMEOUT_MS,
                                            .maximum = BODY_MAXIMUM,
                                            .stream = stream},
               probe);
    const char *body = probe->body.data ? probe->body.data : "";
    answer->body = jsontext_read(body, probe->body.length, NULL, NULL);
    platform_error_text(body, probe->body.length, answer->text, sizeof answer->text);
    if (probe->end != HTTP_PROBE_ANSWERED)
        snprintf(answer->text, sizeof answer->text, "%.255s", probe->error);
    if (http_probe_header(probe, "X-RateLimit-Limit", doctor->limit, sizeof doctor->limit)) {
        http_probe_header(probe, "X-RateLimit-Remaining", doctor->left, sizeof doctor->left);
        http_probe_header(probe, "X-RateLimit-Reset", doctor->reset, sizeof doctor->reset);
    }
    platform_request_free(&request);
}

static void forget(struct answer *answer)
{
    json_decref(answer->body);
    http_probe_free(&answer->probe);
}

static const char *text_of(const struct answer *answer, const char *key)
{
    const char *text = json_string_value(json_object_get(answer->body, key));
    return text ? text : "";
}

/* true: the rate limit hides the rest, as was told. */
static bool limited(struct doctor *doctor, enum doctor_check check, const struct answer *answer)
{
    char wait[32] = "60";
    if (answer->probe.status != 429)
        return false;
    http_probe_header(&answer->probe, "Retry-After", wait, sizeof wait);
    if (doctor->results[DOCTOR_RATE] == DOCTOR_UNKNOWN) {
        char *fix = memory_format("wait %s s; fewer workspaces behind one address, or a longer "
                                  "--interval-ms, need less",
                                  wait);
        doctor_tell(doctor, DOCTOR_RATE, DOCTOR_FAILED, fix, "the limit of %s requests is used up",
                    *doctor->limit ? doctor->limit : "the platform's");
        free(fix);
    }
    doctor_may(doctor, check, DOCTOR_RATE);
    return true;
}

/* "HTTP 503: not now" */
static void tell_other(struct doctor *doctor, enum doctor_check check, enum doctor_result result,
                       const char *fix, const struct answer *answer)
{
    if (answer->probe.end != HTTP_PROBE_ANSWERED)
        doctor_tell(doctor, check, result, fix, "%s", answer->text);
    else
        doctor_tell(doctor, check, result, fix, "HTTP %d%s%s", answer->probe.status,
                    *answer->text ? ": " : "", answer->text);
}

/* --- the workspace --- */

/* The guard answers what it does not let in with 404 and nothing, or names the header. */
static void check_tenant(struct doctor *doctor, const struct answer *answer)
{
    char fix[512];
    int status = answer->probe.status;
    bool missing = status == 400 && strstr(text_of(answer, "code"), "TENANT_ORG_HEADER_REQUIRED"),
         foreign = status == 404 && answer->probe.body.length == 0;
    const char *org_id = doctor->workspace.org_id;
    if (org_id && *org_id)
        snprintf(fix, sizeof fix,
                 "leave out --org-id (MOLECULE_ORG_ID) if --api-url is the tenant's own address, "
                 "or give the id of the organization that has this tenant");
    else
        snprintf(fix, sizeof fix,
                 "--api-url must be the tenant's own address, as browsers open it (now %s); else "
                 "give --org-id",
                 doctor->platform.origin);
    if (missing || foreign)
        doctor_tell(doctor, DOCTOR_TENANT, DOCTOR_FAILED, fix,
                    "the tenant guard does not let us in: HTTP %d%s", status,
                    missing ? ", TENANT_ORG_HEADER_REQUIRED" : " and nothing");
    else
        doctor_tell(doctor, DOCTOR_TENANT, DOCTOR_OK, NULL, "we are let in%s%s",
                    org_id && *org_id ? " for the organization " : "",
                    org_id && *org_id ? org_id : "");
}

static void check_workspace(struct doctor *doctor, const struct answer *answer)
{
    const char *status = text_of(answer, "status");
    if (!doctor_may(doctor, DOCTOR_WORKSPACE, DOCTOR_TENANT))
        return;
    if (answer->probe.status == 404)
        doctor_tell(doctor, DOCTOR_WORKSPACE, DOCTOR_FAILED,
                    "check the id and --api-url; or create it, with the runtime external",
                    "the platform has no workspace %s", doctor->workspace.id);
    else if (answer->probe.status == 410)
        doctor_tell(doctor, DOCTOR_WORKSPACE, DOCTOR_FAILED, "use the id of another workspace",
                    "it was removed (%s)", text_of(answer, "removed_at"));
    else if (answer->probe.status != 200 || !json_is_object(answer->body))
        tell_other(doctor, DOCTOR_WORKSPACE, DOCTOR_FAILED,
                   "look at the platform's log, or try again", answer);
    else if (strcmp(status, "paused") == 0 || strcmp(status, "hibernated") == 0)
        doctor_tell(doctor, DOCTOR_WORKSPACE, DOCTOR_WARNING, "resume it on the platform",
                    "%s is %s", text_of(answer, "name"), status);
    else
        doctor_tell(doctor, DOCTOR_WORKSPACE, DOCTOR_OK, NULL, "%s, %s", text_of(answer, "name"),
                    *status ? status : "status unknown");
}

/* The platform does not tell the mode; one that is pushed to has a URL (contract §1.3). */
static void check_delivery(struct doctor *doctor, const struct answer *answer)
{
    const char *url = text_of(answer, "url"), *mode = text_of(answer, "delivery_mode");
    if (!doctor_may(doctor, DOCTOR_DELIVERY, DOCTOR_WORKSPACE))
        return;
    if (strcmp(mode, "push") == 0 || (!*mode && *url))
        doctor_tell(doctor, DOCTOR_DELIVERY, DOCTOR_WARNING,
                    "start molecule connect, which registers it for polling; if it runs with "
                    "--push, all is well",
                    "its messages are pushed to %s, and not kept for polling",
                    *url ? url : "a URL that the platform does not tell");
    else
        doctor_tell(doctor, DOCTOR_DELIVERY, DOCTOR_OK, NULL, "no URL to push to");
}

/* --- the token --- */

/* The workspace whose kept token this is, if it is not ours. Yours to free; NULL: none's. */
static char *find_owner(const struct doctor *doctor)
{
    struct molecule_workspace_options other = {
        .state_directory = doctor->workspace.state_directory};
    size_t count;
    char problem[512], *owner = NULL,
                       **ids = local_state_list(other.state_directory, OTHERS_MAXIMUM, &count);
    for (size_t i = 0; ids && i < count && !owner; i++) {
        other.id = ids[i];
        char *token = token_read(&other, problem, sizeof problem);
        if (token && strcmp(ids[i], doctor->workspace.id) != 0 && strcmp(token, doctor->token) == 0)
            owner = memory_copy_text(ids[i]);
        memory_wipe(token);
    }
    local_state_free_list(ids, ids ? count : 0);
    return owner;
}

static void tell_refused(struct doctor *doctor, const struct answer *answer)
{
    const char *fix = "issue a new token for this workspace on the platform, and put it into the "
                      "token file (or MOLECULE_WORKSPACE_TOKEN)";
    char *owner = find_owner(doctor);
    if (owner)
        doctor_tell(doctor, DOCTOR_TOKEN, DOCTOR_FAILED,
                    "give each workspace its own token (--token-file with {id} in it)",
                    "it is the token of the workspace %s", owner);
    else
        doctor_tell(doctor, DOCTOR_TOKEN, DOCTOR_FAILED, fix,
                    "it was revoked, or is another workspace's: HTTP %d: %s", answer->probe.status,
                    answer->text);
    free(owner);
}

static bool take_token(struct doctor *doctor)
{
    char problem[1024];
    doctor->token = token_read(&doctor->workspace, problem, sizeof problem);
    if (doctor->token) {
        log_hide(doctor->token);
        return true;
    }
    const char *fix = doctor->workspace.token_file
                          ? "write the token, alone, into that file, readable for this user"
                          : "set MOLECULE_WORKSPACE_TOKEN or --token-file; a workspace that has "
                            "never had one gets it with molecule connect --bootstrap";
    doctor_tell(doctor, DOCTOR_TOKEN, DOCTOR_FAILED, fix, "%s", *problem ? problem : "no token");
    return false;
}

static void check_token(struct doctor *doctor)
{
    struct answer answer;
    ask(doctor, platform_state(&doctor->platform, doctor->token), false, &answer);
    int status = answer.probe.status;
    if (limited(doctor, DOCTOR_TOKEN, &answer))
        ;
    else if (status == 200)
        doctor_tell(doctor, DOCTOR_TOKEN, DOCTOR_OK, NULL, "the platform takes it%s%s%s",
                    doctor->workspace.token_file ? " (" : "",
                    doctor->workspace.token_file ? doctor->workspace.token_file : "",
                    doctor->workspace.token_file ? ")" : "");
    else if (status == 401 || status == 403)
        tell_refused(doctor, &answer);
    else
        tell_other(doctor, DOCTOR_TOKEN, DOCTOR_FAILED,
                   "the platform could not check it: look at its log, or try again", &answer);
    forget(&answer);
}

static void check_rate(struct doctor *doctor)
{
    char *end;
    if (doctor->results[DOCTOR_RATE] != DOCTOR_UNKNOWN)
        return;
    long limit = strtol(doctor->limit, &end, 10), left = strtol(doctor->left, NULL, 10);
    if (!*doctor->limit)
        doctor_tell(doctor, DOCTOR_RATE, DOCTOR_SKIPPED, NULL, "the platform tells no limit");
    else if (*end || limit <= 0)
        doctor_tell(doctor, DOCTOR_RATE, DOCTOR_OK, NULL, "no limit");
    else if (left * 100 < limit * LOW_RATE)
        doctor_tell(doctor, DOCTOR_RATE, DOCTOR_WARNING,
                    "fewer workspaces behind one address, or a longer --interval-ms",
                    "%ld of %ld requests are left for %s s", left, limit, doctor->reset);
    else
        doctor_tell(doctor, DOCTOR_RATE, DOCTOR_OK, NULL, "%ld of %ld requests are left for %s s",
                    left, limit, doctor->reset);
}

/* --- what it is for --- */

static void check_stream(struct doctor *doctor)
{
    char type[64] = "";
    struct answer answer;
    if (!doctor_may(doctor, DOCTOR_STREAM, DOCTOR_TOKEN))
        return;
    ask(doctor, platform_events(&doctor->platform, doctor->token), true, &answer);
    http_probe_header(&answer.probe, "Content-Type", type, sizeof type);
    const char *fix = "nothing is lost: messages are polled for; a proxy on the way may have to "
                      "let text/event-stream through";
    if (limited(doctor, DOCTOR_STREAM, &answer))
        ;
    else if (answer.probe.status == 200 && strncmp(type, "text/event-stream", 17) == 0)
        doctor_tell(doctor, DOCTOR_STREAM, DOCTOR_OK, NULL, "it opens");
    else if (answer.probe.status == 200)
        doctor_tell(doctor, DOCTOR_STREAM, DOCTOR_WARNING, fix, "it is %s, not an event stream",
                    *type ? type : "of no type");
    else
        tell_other(doctor, DOCTOR_STREAM, DOCTOR_WARNING, fix, &answer);
    forget(&answer);
}

static void tell_peers(struct doctor *doctor, const json_t *peers)
{
    struct buffer names;
    size_t i, count = json_array_size(peers);
    json_t *peer;
    buffer_init(&names, 1024);
    json_array_foreach (peers, i, peer) {
        const char *name = json_string_value(json_object_get(peer, "name")),
                   *status = json_string_value(json_object_get(peer, "status"));
        if (i < PEERS_SHOWN)
            buffer_printf(&names, "%s%.60s (%.20s)", i == 0 ? ": " : ", ", name ? name : "?",
                          status ? status : "?");
    }
    doctor_tell(doctor, DOCTOR_PEERS, DOCTOR_OK, NULL, "%zu peer%s%s%s", count, plural(count),
                names.length > 0 ? names.data : "", count > PEERS_SHOWN ? ", …" : "");
    buffer_free(&names);
}

static void check_peers(struct doctor *doctor)
{
    struct answer answer;
    if (!doctor_may(doctor, DOCTOR_PEERS, DOCTOR_TOKEN))
        return;
    ask(doctor, platform_peers(&doctor->platform, doctor->token, NULL), false, &answer);
    if (limited(doctor, DOCTOR_PEERS, &answer))
        ;
    else if (answer.probe.status == 200 && json_is_array(answer.body))
        tell_peers(doctor, answer.body);
    else
        tell_other(doctor, DOCTOR_PEERS, DOCTOR_WARNING,
                   "only what the script asks of molecule.peers is missing: look at the platform's "
                   "log",
                   &answer);
    forget(&answer);
}

static void check_inbox(struct doctor *doctor)
{
    struct answer answer;
    struct platform_fetch fetch = {.limit = 1};
    if (!doctor_may(doctor, DOCTOR_INBOX, DOCTOR_TOKEN))
        return;
    ask(doctor, platform_activity(&doctor->platform, doctor->token, &fetch), false, &answer);
    if (limited(doctor, DOCTOR_INBOX, &answer))
        ;
    else if (answer.probe.status == 200 && json_is_array(answer.body))
        doctor_tell(doctor, DOCTOR_INBOX, DOCTOR_OK, NULL, "it can be read");
    else
        tell_other(doctor, DOCTOR_INBOX, DOCTOR_FAILED,
                   "look at the platform's log: without its inbox nothing is answered", &answer);
    forget(&answer);
}

static void skip(struct doctor *doctor, enum doctor_check from, enum doctor_check to,
                 const char *why)
{
    for (int check = (int)from; check <= (int)to; check++)
        if (doctor->results[check] == DOCTOR_UNKNOWN)
            doctor_tell(doctor, (enum doctor_check)check, DOCTOR_SKIPPED, NULL, "%s", why);
}

static void check_registered(struct doctor *doctor)
{
    struct answer answer;
    ask(doctor, platform_workspace(&doctor->platform, NULL, doctor->workspace.id), false, &answer);
    if (answer.probe.status == 429) {
        limited(doctor, DOCTOR_TENANT, &answer);
    } else if (answer.probe.end != HTTP_PROBE_ANSWERED) {
        tell_other(doctor, DOCTOR_TENANT, DOCTOR_FAILED,
                   "try again; if it stays, look at the platform's log", &answer);
    } else {
        check_tenant(doctor, &answer);
    }
    check_workspace(doctor, &answer);
    check_delivery(doctor, &answer);
    forget(&answer);
}

void doctor_check_platform(struct doctor *doctor)
{
    bool reached = doctor->results[DOCTOR_PLATFORM] == DOCTOR_OK;
    if (doctor->offline && doctor->workspace.id)
        take_token(doctor); /* whether there is one can be told */
    if (doctor->offline || !reached || !doctor->workspace.id) {
        skip(doctor, DOCTOR_TENANT, DOCTOR_INBOX,
             doctor->offline ? "--offline"
             : !reached      ? "needs platform"
                             : "needs a workspace id");
        return;
    }
    check_registered(doctor);
    if (take_token(doctor) && doctor_may(doctor, DOCTOR_TOKEN, DOCTOR_TENANT))
        check_token(doctor);
    check_rate(doctor);
    check_stream(doctor);
    check_peers(doctor);
    check_inbox(doctor);
}

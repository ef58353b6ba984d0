/* From the address to a platform that answers. No token is sent. */
#include "commands/doctor.h"

#include "base/clock.h"
#include "base/memory.h"
#include "host/checks.h"
#include "net/http_probe.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TIMEOUT_MS 10000
#define BODY_MAXIMUM (64 * 1024)
#define DAY_S (24 * 3600)
#define CERTIFICATE_DAYS 14 /* what is left when it is time to renew it */
#define SKEW_S 30
#define CHECK_URL "check --api-url (MOLECULE_API_URL)"

static void check_address(struct doctor *doctor)
{
    char problem[512];
    const struct molecule_workspace_options *workspace = &doctor->workspace;
    const char *fix = strncasecmp(workspace->api_url, "http:", 5) == 0
                          ? "--api-url https://…; to send the token unencrypted, --insecure-http"
                          : "--api-url (MOLECULE_API_URL) https://HOST[:PORT][/PATH]";
    if (!checks_open_platform(workspace, &doctor->platform, problem, sizeof problem)) {
        doctor_tell(doctor, DOCTOR_ADDRESS, DOCTOR_FAILED, fix, "%s", problem);
        platform_close(&doctor->platform);
        doctor->platform = (struct platform){0};
    } else if (!platform_is_private(&doctor->platform)) {
        doctor_tell(doctor, DOCTOR_ADDRESS, DOCTOR_WARNING, "use https",
                    "%s: whoever is on the way can read the token", doctor->platform.base_url);
    } else {
        doctor_tell(doctor, DOCTOR_ADDRESS, DOCTOR_OK, NULL, "%s", doctor->platform.base_url);
    }
}

/* Whether the connection came to its stage `check`, which `end` would have ended; later stages are
 * skipped by themselves. */
static bool passed(struct doctor *doctor, enum doctor_check check, const struct http_probe *probe,
                   enum http_probe_end end, const char *fix)
{
    if (probe->end != end)
        return probe->end > end;
    doctor_tell(doctor, check, DOCTOR_FAILED, fix, "%s", probe->error);
    return false;
}

static void check_proxy(struct doctor *doctor, const struct http_probe *probe)
{
    char fix[256];
    bool refused = *probe->proxy && probe->status == 407;
    snprintf(fix, sizeof fix,
             refused ? "put user and password into %s (http://USER:PASSWORD@HOST:PORT), or the "
                       "platform's host into no_proxy"
                     : "correct or unset %s, or put the platform's host into no_proxy",
             *probe->proxy_variable ? probe->proxy_variable : "the proxy variable");
    if (probe->end == HTTP_PROBE_PROXY || refused)
        doctor_tell(doctor, DOCTOR_PROXY, DOCTOR_FAILED, fix, "%s of %s: %s", probe->proxy,
                    probe->proxy_variable,
                    refused ? "it wants user and password (407)" : probe->error);
    else if (*probe->proxy)
        doctor_tell(doctor, DOCTOR_PROXY, DOCTOR_OK, NULL, "through %s (%s)", probe->proxy,
                    probe->proxy_variable);
    else
        doctor_tell(doctor, DOCTOR_PROXY, DOCTOR_OK, NULL, "none is used");
}

/* Without the port. */
static int host_length(const char *authority)
{
    const char *end = *authority == '[' ? strchr(authority, ']') : strchr(authority, ':');
    return end ? (int)(end - authority) + (*authority == '[') : (int)strlen(authority);
}

static void check_dns(struct doctor *doctor, const struct http_probe *probe)
{
    const char *host = strstr(doctor->platform.origin, "://") + 3, *address = probe->address;
    if (!doctor_may(doctor, DOCTOR_DNS, DOCTOR_PROXY))
        return;
    if (*probe->proxy)
        doctor_tell(doctor, DOCTOR_DNS, DOCTOR_SKIPPED, NULL, "the proxy looks it up");
    else if (passed(doctor, DOCTOR_DNS, probe, HTTP_PROBE_NAME,
                    CHECK_URL ", /etc/resolv.conf and the network"))
        doctor_tell(doctor, DOCTOR_DNS, DOCTOR_OK, NULL, "%.*s is %.*s", host_length(host), host,
                    *address ? host_length(address) : 10, *address ? address : "an address");
}

static void check_tcp(struct doctor *doctor, const struct http_probe *probe)
{
    if (*probe->proxy) {
        if (doctor_may(doctor, DOCTOR_TCP, DOCTOR_PROXY))
            doctor_tell(doctor, DOCTOR_TCP, DOCTOR_SKIPPED, NULL, "the proxy connects");
        return;
    }
    if (doctor_may(doctor, DOCTOR_TCP, DOCTOR_DNS) &&
        passed(doctor, DOCTOR_TCP, probe, HTTP_PROBE_CONNECT,
               CHECK_URL ", whether the platform runs, and firewalls on the way"))
        doctor_tell(doctor, DOCTOR_TCP, DOCTOR_OK, NULL, "connected to %s", probe->address);
}

/* --- TLS --- */

/* "2026-05-01" */
static const char *format_day(int64_t time_s, char text[CLOCK_TEXT_SIZE])
{
    clock_format(time_s * 1000, text);
    text[strcspn(text, "T")] = '\0';
    return text;
}

/* Why a certificate is not trusted: what the TLS library says first is not always what matters. */
static void tell_distrust(struct doctor *doctor, const struct http_probe *probe)
{
    struct http_certificate shown;
    char day[CLOCK_TEXT_SIZE], fix[700] = "check --api-url: is it http://, or another port?";
    int64_t now_s = clock_wall_ms() / 1000;
    char *error = memory_copy_text(probe->error);
    if (!http_probe_certificate(doctor->platform.base_url, TIMEOUT_MS, &shown))
        ;
    else if (shown.expires_s && shown.expires_s < now_s)
        snprintf(fix, sizeof fix,
                 "whoever runs the platform must renew the certificate, which expired on %s; or is "
                 "this machine's clock wrong?",
                 format_day(shown.expires_s, day));
    else if (shown.begins_s > now_s)
        snprintf(fix, sizeof fix,
                 "set this machine's clock: the certificate is not valid before %s",
                 format_day(shown.begins_s, day));
    else if (strstr(error, "match") || strstr(error, "does not own"))
        snprintf(fix, sizeof fix, "use a name in --api-url that is in the certificate: %s",
                 *shown.names ? shown.names : shown.subject);
    else
        snprintf(fix, sizeof fix,
                 "--ca-file with the authority's certificate, if you trust who signed this one: %s",
                 shown.issuer);
    doctor_tell(doctor, DOCTOR_TLS, DOCTOR_FAILED, fix, "%s", error);
    free(error);
}

static void tell_certificate(struct doctor *doctor)
{
    struct http_certificate shown;
    int64_t now_s = clock_wall_ms() / 1000;
    if (!http_probe_certificate(doctor->platform.base_url, TIMEOUT_MS, &shown) ||
        shown.expires_s == 0) {
        doctor_tell(doctor, DOCTOR_TLS, DOCTOR_OK, NULL,
                    "the certificate is trusted; this libcurl does not tell how long it is valid");
        return;
    }
    long long days = (long long)((shown.expires_s - now_s) / DAY_S);
    bool soon = days < CERTIFICATE_DAYS;
    doctor_tell(doctor, DOCTOR_TLS, soon ? DOCTOR_WARNING : DOCTOR_OK,
                soon ? "whoever runs the platform must renew the certificate" : NULL,
                "the certificate of %s, signed by %s, is trusted and valid for %lld day%s",
                shown.subject, shown.issuer, days, days == 1 ? "" : "s");
}

static void check_tls(struct doctor *doctor, const struct http_probe *probe)
{
    char fix[512];
    enum doctor_check needed = *probe->proxy ? DOCTOR_PROXY : DOCTOR_TCP;
    if (!doctor_may(doctor, DOCTOR_TLS, needed))
        return;
    if (strncmp(doctor->platform.base_url, "https:", 6) != 0) {
        doctor_tell(doctor, DOCTOR_TLS, DOCTOR_SKIPPED, NULL, "http has none");
        return;
    }
    snprintf(fix, sizeof fix, "%s must name a readable file with certificates (PEM)",
             doctor->ca_file ? "--ca-file" : "CURL_CA_BUNDLE or SSL_CERT_FILE");
    if (probe->end == HTTP_PROBE_TLS)
        tell_distrust(doctor, probe);
    else if (passed(doctor, DOCTOR_TLS, probe, HTTP_PROBE_TRUST, fix))
        tell_certificate(doctor);
}

/* --- the answer --- */

static bool says_ok(const struct http_probe *probe)
{
    json_t *body = probe->body.data ? json_loadb(probe->body.data, probe->body.length, 0, NULL)
                                    : NULL;
    const char *status = json_string_value(json_object_get(body, "status"));
    bool fine = probe->status == 200 && status && strcmp(status, "ok") == 0;
    json_decref(body);
    return fine;
}

static void check_answer(struct doctor *doctor, const struct http_probe *probe)
{
    char text[256], where[512], fix[700];
    bool secured = strncmp(doctor->platform.base_url, "https:", 6) == 0;
    if (!doctor_may(doctor, DOCTOR_PLATFORM,
                    secured         ? DOCTOR_TLS
                    : *probe->proxy ? DOCTOR_PROXY
                                    : DOCTOR_TCP))
        return;
    platform_error_text(probe->body.data ? probe->body.data : "", probe->body.length, text,
                        sizeof text);
    if (probe->end != HTTP_PROBE_ANSWERED) {
        doctor_tell(doctor, DOCTOR_PLATFORM, DOCTOR_FAILED,
                    CHECK_URL ": is it https:// or another port? Else look at the platform's log",
                    "no answer: %s", probe->error);
    } else if (says_ok(probe)) {
        doctor_tell(doctor, DOCTOR_PLATFORM, DOCTOR_OK, NULL, "%s/health answers",
                    doctor->platform.base_url);
    } else if (probe->status >= 300 && probe->status < 400 &&
               http_probe_header(probe, "Location", where, sizeof where)) {
        snprintf(fix, sizeof fix, "--api-url %.*s",
                 (int)(strlen(where) -
                       (strstr(where, "/health") ? strlen(strstr(where, "/health")) : 0)),
                 where);
        doctor_tell(doctor, DOCTOR_PLATFORM, DOCTOR_FAILED, fix, "it redirects to %s", where);
    } else {
        bool ill = probe->status >= 500 || probe->status == 429;
        doctor_tell(doctor, DOCTOR_PLATFORM, DOCTOR_FAILED,
                    ill ? "wait, or tell whoever runs the platform"
                        : CHECK_URL ": at the platform's, /health answers {\"status\":\"ok\"}",
                    "%s/health answers HTTP %d%s%s", doctor->platform.base_url, probe->status,
                    *text ? ": " : "", text);
    }
}

static void check_clock(struct doctor *doctor, const struct http_probe *probe)
{
    if (!doctor_may(doctor, DOCTOR_CLOCK, DOCTOR_PLATFORM))
        return;
    int64_t date_s = http_probe_date_s(probe), ahead_s = probe->answered_ms / 1000 - date_s;
    if (date_s == 0)
        doctor_tell(doctor, DOCTOR_CLOCK, DOCTOR_SKIPPED, NULL, "the answer has no Date");
    else if (llabs(ahead_s) > SKEW_S)
        doctor_tell(doctor, DOCTOR_CLOCK, DOCTOR_WARNING,
                    "set this machine's clock, or the platform's (timedatectl set-ntp true)",
                    "this machine is %lld s %s the platform", (long long)llabs(ahead_s),
                    ahead_s > 0 ? "ahead of" : "behind");
    else
        doctor_tell(doctor, DOCTOR_CLOCK, DOCTOR_OK, NULL, "within %lld s of the platform's",
                    (long long)llabs(ahead_s) + 1);
}

void doctor_check_connection(struct doctor *doctor)
{
    static const enum doctor_check after[] = {DOCTOR_PROXY, DOCTOR_DNS,      DOCTOR_TCP,
                                              DOCTOR_TLS,   DOCTOR_PLATFORM, DOCTOR_CLOCK};
    check_address(doctor);
    bool opened = doctor->platform.base_url != NULL;
    if (!opened || doctor->offline) {
        for (size_t i = 0; i < sizeof after / sizeof *after; i++)
            doctor_tell(doctor, after[i], DOCTOR_SKIPPED, NULL,
                        opened ? "--offline" : "needs address");
        return;
    }
    char *url = memory_format("%s/health", doctor->platform.base_url);
    struct http_probe probe;
    http_probe(&(struct http_probe_request){.url = url,
                                            .ca_file = doctor->ca_file,
                                            .timeout_ms = TIMEOUT_MS,
                                            .maximum = BODY_MAXIMUM},
               &probe);
    check_proxy(doctor, &probe);
    check_dns(doctor, &probe);
    check_tcp(doctor, &probe);
    check_tls(doctor, &probe);
    check_answer(doctor, &probe);
    check_clock(doctor, &probe);
    http_probe_free(&probe);
    free(url);
}

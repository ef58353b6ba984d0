#include "host/checks.h"

#include "link/token.h"
#include "script/script.h"

#include <stdio.h>

bool checks_open_platform(const struct molecule_workspace_options *options,
                          struct platform *platform, char *problem, size_t problem_size)
{
    const char *url_problem;
    if (!platform_open(platform, options->api_url, options->id, options->org_id, &url_problem)) {
        snprintf(problem, problem_size, "--api-url %s: %s", options->api_url, url_problem);
        return false;
    }
    if (!platform_is_private(platform) && !options->insecure_http) {
        snprintf(problem, problem_size,
                 "--api-url %s would send the token unencrypted to another machine; use https, or "
                 "--insecure-http if "
                 "you mean it",
                 options->api_url);
        return false;
    }
    return true;
}

bool checks_say_no_token(const struct molecule_workspace_options *options, bool fleet,
                         char *problem, size_t problem_size)
{
    *problem = '\0';
    if (options->token_file && (token_exists(options, problem, problem_size) || !*problem))
        snprintf(problem, problem_size, "there is no token in %s", options->token_file);
    if (!options->token_file)
        snprintf(problem, problem_size,
                 "no token: set MOLECULE_WORKSPACE_TOKEN or --token-file, or use --bootstrap if "
                 "this workspace has never had one (the platform then mints one, which is kept)%s",
                 fleet ? "; in a fleet file, set token_env or token_file" : "");
    return false;
}

bool checks_address(const struct molecule_workspace_options *options, char *problem,
                    size_t problem_size)
{
    struct platform platform = {0};
    bool fine = checks_open_platform(options, &platform, problem, problem_size);
    platform_close(&platform);
    return fine;
}

bool checks_token(const struct molecule_workspace_options *options, bool fleet, char *problem,
                  size_t problem_size)
{
    return options->bootstrap || token_exists(options, problem, problem_size) ||
           (!*problem && checks_say_no_token(options, fleet, problem, problem_size));
}

bool checks_all(const struct molecule_workspace_options *options, char *problem,
                size_t problem_size)
{
    struct script_settings script = {.options = options};
    *problem = '\0';
    return checks_address(options, problem, problem_size) &&
           checks_token(options, true, problem, problem_size) &&
           script_check(&script, problem, problem_size);
}

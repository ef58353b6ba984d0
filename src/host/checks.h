/* What can be checked of a workspace's options without touching anything: the platform's address,
 * whether there is a token, whether the script compiles. false: `problem` says what is wrong. */
#ifndef MOLECULE_HOST_CHECKS_H
#define MOLECULE_HOST_CHECKS_H

#include "molecule/options.h"
#include "wire/platform.h"

#include <stdbool.h>
#include <stddef.h>

bool checks_all(const struct molecule_workspace_options *options, char *problem,
                size_t problem_size);
bool checks_address(const struct molecule_workspace_options *options, char *problem,
                    size_t problem_size);
bool checks_token(const struct molecule_workspace_options *options, bool fleet, char *problem,
                  size_t problem_size);
/* Like checks_address, and opens the platform. */
bool checks_open_platform(const struct molecule_workspace_options *options,
                          struct platform *platform, char *problem, size_t problem_size);
/* Says that there is no token, and how to give one; returns false. */
bool checks_say_no_token(const struct molecule_workspace_options *options, bool fleet,
                         char *problem, size_t problem_size);

#endif

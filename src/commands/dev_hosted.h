/* The process of `molecule dev` that is the host. */
#ifndef MOLECULE_COMMANDS_DEV_HOSTED_H
#define MOLECULE_COMMANDS_DEV_HOSTED_H

#include "commands/dev_host.h"
#include "commands/dev_options.h"

/* Until it has ended; the exit code. */
int dev_hosted_run(const struct dev_options *given, const struct dev_host_orders *orders,
                   int report_fd);

#endif

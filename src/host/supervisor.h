/* What systemd is told of a running process, by its notify protocol (sd_notify(3)), where
 * NOTIFY_SOCKET says that it listens:
 *
 * - READY=1: every workspace is ready (monitor_unready), or has ended
 * - STATUS=…: in words, when it changes
 * - WATCHDOG=1: twice within WATCHDOG_USEC, while the loop turns and inboxes are looked at
 * - RELOADING=1, then READY=1: around a SIGHUP
 * - STOPPING=1: it drains
 * - EXTEND_TIMEOUT_USEC=…: again and again while it starts (the platform may be away) or drains, so
 *   that no timeout of systemd ends what is under way
 *
 * On the network thread. */
#ifndef MOLECULE_HOST_SUPERVISOR_H
#define MOLECULE_HOST_SUPERVISOR_H

struct host;
struct supervisor;

/* Takes the variables out of the environment. NULL: nobody listens. */
struct supervisor *supervisor_open(struct host *host);
void supervisor_close(struct supervisor *supervisor); /* NULL is fine */

#endif

/* Notices when a name resolves to other addresses. Connections, and with them addresses, are kept
 * while they work, so a platform that moved would be followed only once its old address stops
 * answering. The resolver is asked now and then on a separate thread, where a hanging one delays
 * nothing. All functions but the lookup run on the loop's thread. */
#ifndef MOLECULE_NET_ADDRESS_WATCH_H
#define MOLECULE_NET_ADDRESS_WATCH_H

#include <stdint.h>
#include <uv.h>

struct address_watch;

struct address_watch *address_watch_open(uv_loop_t *loop);
void address_watch_close(struct address_watch *watch); /* NULL is fine */

/* A request to `host` went over a connection to `address`. It counts as the host's, not a proxy's,
 * if the resolver lists it. */
void address_watch_note(struct address_watch *watch, const char *host, const char *address);
/* When a host last moved (clock_monotonic_ms); 0: never. Older connections and addresses must not
 * be used. */
int64_t address_watch_moved_ms(const struct address_watch *watch);

#endif

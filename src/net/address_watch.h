/* Notices that a name leads elsewhere by now. A connection is kept while it works, and an address
 * for as long: so a platform that moved would be followed only when its old address stops
 * answering. The resolver is asked now and then on a thread of its own, where one that hangs delays
 * nothing. All functions but the lookup run on the loop's thread. */
#ifndef MOLECULE_NET_ADDRESS_WATCH_H
#define MOLECULE_NET_ADDRESS_WATCH_H

#include <stdint.h>
#include <uv.h>

struct address_watch;

struct address_watch *address_watch_open(uv_loop_t *loop);
void address_watch_close(struct address_watch *watch); /* NULL is fine */

/* A request to `host` went over a connection to `address`, which is one of the host's and no
 * proxy's if the resolver names it. */
void address_watch_note(struct address_watch *watch, const char *host, const char *address);
/* When a host last moved (clock_monotonic_ms); 0: none has. Connections and addresses of before are
 * not to be used. */
int64_t address_watch_moved_ms(const struct address_watch *watch);

#endif

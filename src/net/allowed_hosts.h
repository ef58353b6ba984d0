/* Which hosts a sandboxed script may reach. A URL is judged the way libcurl parses it, so that no
 * spelling of an address (userinfo, "127.1", upper case, a trailing dot) means one host here and
 * another on the wire. */
#ifndef MOLECULE_NET_ALLOWED_HOSTS_H
#define MOLECULE_NET_ALLOWED_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

struct allowed_hosts;

/* Each pattern is HOST or HOST:PORT; HOST is a name, an IPv4 address, [an IPv6 address], or *.NAME
 * for every name below NAME, without NAME itself. Without a port every port is meant. NULL:
 * `problem` says which pattern is wrong. An empty list allows nothing. */
struct allowed_hosts *allowed_hosts_open(const char *const *patterns, size_t count, char *problem,
                                         size_t problem_size);
void allowed_hosts_close(struct allowed_hosts *hosts); /* NULL is fine */

/* What cannot be read as a URL with a host is not allowed. `where` gets the host and port that it
 * leads to ("" if it has none), for messages. */
bool allowed_hosts_include(const struct allowed_hosts *hosts, const char *url, char *where,
                           size_t where_size);

#endif

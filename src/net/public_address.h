/* Which addresses belong to the public internet: none of this machine, of its network, or of the
 * services that clouds put beside their machines. */
#ifndef MOLECULE_NET_PUBLIC_ADDRESS_H
#define MOLECULE_NET_PUBLIC_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* IPv4 and IPv6; an IPv6 address that stands for an IPv4 one is judged as that. */
bool public_address(const struct sockaddr *address);
/* The same of its text; false also where it is none. */
bool public_address_text(const char *text);

#endif

/* Names of hosts, as DNS, URLs and the Host field of HTTP have them. */
#ifndef MOLECULE_BASE_HOST_NAME_H
#define MOLECULE_BASE_HOST_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define HOST_NAME_SIZE 254 /* RFC 1035 §2.3.4, with its NUL */

/* Why the text is no name of a host, NULL: it is one. A dot may end it. */
const char *host_name_problem(const char *text);

/* The name in "Example.org.:8080": in lower case, without the port and the dot at its end. false:
 * there is none, and `name` is empty; so it is for an IPv6 address. */
bool host_name_take(const char *text, size_t length, char name[HOST_NAME_SIZE]);

#endif

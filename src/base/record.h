/* One record of systemd's journal, over a connected datagram socket: as a datagram, or, where that
 * is too large for the socket, as a sealed memory file that is passed.
 * https://systemd.io/JOURNAL_NATIVE_PROTOCOL */
#ifndef MOLECULE_BASE_RECORD_H
#define MOLECULE_BASE_RECORD_H

#include <stdbool.h>
#include <stddef.h>

/* `patient`: waits as long as the socket is full. false: it was not sent, and errno says why. */
bool record_send(int fd, const char *bytes, size_t length, bool patient);

#endif

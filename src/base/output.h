/* Standard output and standard error of a process that must never wait for whoever reads them.
 *
 * output_write puts lines into a bounded ring and returns; a thread for each of the descriptors
 * writes them out. That thread alone waits: for a pipe that nobody empties, a stopped terminal, a
 * file system that hangs. A full ring, and a descriptor that takes nothing (closed, EPIPE, ENOSPC,
 * EFBIG), cost lines only; they are counted, and the count is written when there is room again. */
#ifndef MOLECULE_BASE_OUTPUT_H
#define MOLECULE_BASE_OUTPUT_H

#include <stddef.h>

#define OUTPUT_RING_SIZE (1024 * 1024) /* bytes that wait, for each descriptor */

/* To STDOUT_FILENO or STDERR_FILENO: whole lines, from any thread. */
void output_write(int fd, const char *bytes, size_t length);
/* Where log lines go from now on: `fd` (standard error, or a file) takes lines, `records` datagrams
 * (a connected socket; -1: none). `lost` is told how many were dropped, when there is room again;
 * NULL: a line of text says so. */
void output_set_log(int fd, int records, void (*lost)(unsigned long lines));
void output_write_log(const char *bytes, size_t length);
/* Calls this on the thread that writes the log, between the lines so far and those to come: what
 * may hang. Without a thread (RLIMIT_NPROC), here. */
void output_turn_log(void (*turn)(void));
/* One datagram (base/record.h), at most OUTPUT_RECORD_MAXIMUM bytes. */
#define OUTPUT_RECORD_MAXIMUM (128 * 1024)
void output_write_record(const char *bytes, size_t length);
/* Waits until everything written so far is out, but only while there is progress: at most 200 ms
 * without any, 2 s in all. */
void output_flush(void);
/* Routes stdout and stderr (printf, Lua's print) the same way from now on. Once, for a process that
 * serves. */
void output_divert(void);

#endif

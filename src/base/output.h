/* Standard output and standard error of a process that must never wait for whoever reads them.
 *
 * output_write puts lines into a bounded ring and returns; a thread for each of the two descriptors
 * writes them out. That thread alone waits: for a pipe that nobody empties, a stopped terminal, a
 * file system that hangs. A full ring, and a descriptor that takes nothing (closed, EPIPE, ENOSPC,
 * EFBIG), cost lines only; they are counted, and the count is written when there is room again. */
#ifndef MOLECULE_BASE_OUTPUT_H
#define MOLECULE_BASE_OUTPUT_H

#include <stddef.h>

#define OUTPUT_RING_SIZE (1024 * 1024) /* bytes that wait, for each descriptor */

/* To STDOUT_FILENO or STDERR_FILENO: whole lines, from any thread. */
void output_write(int fd, const char *bytes, size_t length);
/* Waits until what was written before is out, but only while bytes leave: at most 200 ms without
 * one, 2 s in all. */
void output_flush(void);
/* From now on stdout and stderr, printf and Lua's print alike, go the same way. For a process that
 * serves, once. */
void output_divert(void);

#endif

/* What a child says. Standard output is lines: answers go to those who wait for them, requests are
 * refused, all else is logged. Standard error is logged. */
#ifndef MOLECULE_SCRIPT_CHILD_OUTPUT_H
#define MOLECULE_SCRIPT_CHILD_OUTPUT_H

struct child;

/* Reads both from now on, until the child is over. */
void child_read(struct child *child);

#endif

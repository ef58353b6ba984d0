/* What a process cannot count on when it starts, put right before anything else runs. */
#ifndef MOLECULE_COMMANDS_SURROUNDINGS_H
#define MOLECULE_COMMANDS_SURROUNDINGS_H

/* Descriptors 0 to 2 are open (on /dev/null where they were closed), so that no database or socket
 * of ours gets one of these numbers. SIGPIPE and SIGXFSZ are ignored: what the signal says, the
 * failing call says, too. As PID 1 of a container the process becomes an init: the command runs in
 * a child, signals are passed on to it, whatever it leaves behind is reaped, and its exit code is
 * ours. */
void surroundings_prepare(void);
/* At the command's end: standard output is written out. Returns `code`, or 1 after saying so when
 * that failed. */
int surroundings_leave(int code);

#endif

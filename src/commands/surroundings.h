/* Puts right what a process cannot rely on when it starts. */
#ifndef MOLECULE_COMMANDS_SURROUNDINGS_H
#define MOLECULE_COMMANDS_SURROUNDINGS_H

/* Descriptors 0 to 2 are open (on /dev/null where they were closed), so that no database or socket
 * of ours gets one of these numbers. SIGPIPE and SIGXFSZ are ignored: the failing call reports the
 * same. As PID 1 of a container the process becomes an init: the command runs in a child, signals
 * are passed on to it, whatever it leaves behind is reaped, and its exit code is ours. */
void surroundings_prepare(void);
/* At the command's end: flushes standard output. Returns `code`, or 1 after reporting that this
 * failed. */
int surroundings_leave(int code);

#endif

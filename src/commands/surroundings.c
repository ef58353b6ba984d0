#include "commands/surroundings.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIGNALLED 128 /* a shell's exit code for a command killed by signal N is 128 + N */

static void open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        /* the lowest that is free: this one */
        if (open("/dev/null", O_RDWR) < 0 && open("/", O_PATH | O_DIRECTORY) < 0)
            _exit(1); /* with nowhere to report it */
    }
}

static void ignore_signals(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* Reaps whatever has ended, orphans too. The command's status if it was among them, else -1. */
static int reap(pid_t command)
{
    int status, ended = -1;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == command)
            ended = status;
    return ended;
}

/* Its own process group: otherwise what a terminal sends to the foreground would reach the command
 * twice. */
static void lead_group(const sigset_t *before)
{
    setpgid(0, 0);
    if (isatty(STDIN_FILENO)) {
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(STDIN_FILENO, getpgrp());
        signal(SIGTTOU, SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, before, NULL);
}

static void be_init(void)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t command = fork();
    if (command < 0) {
        fprintf(stderr,
                "molecule: as PID 1 it runs the command in a child process, which cannot be "
                "started: %s\n",
                strerror(errno));
        exit(1);
    }
    if (command == 0) {
        lead_group(&before);
        return;
    }
    for (;;) {
        int number = sigwaitinfo(&all, NULL), status = number == SIGCHLD ? reap(command) : -1;
        if (number > 0 && number != SIGCHLD && number != SIGPIPE && number != SIGTTOU &&
            number != SIGTTIN)
            kill(command, number);
        if (status != -1)
            _exit(WIFSIGNALED(status) ? SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status));
    }
}

void surroundings_prepare(void)
{
    open_standard_descriptors();
    ignore_signals();
    if (getpid() == 1)
        be_init();
}

int surroundings_leave(int code)
{
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == 0) {
        fprintf(stderr, "molecule: standard output cannot be written: %s\n", strerror(errno));
        code = 1;
    }
    fflush(stderr);
    log_flush();
    return code;
}

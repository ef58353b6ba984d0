#include "commands/program.h"

#include "base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static pid_t start(const char *const words[], int out)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, words[0], &actions, NULL, (char *const *)words, environ) != 0)
        pid = -1;
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/* Until it closes its output. false: it took too long. */
static bool collect(int fd, int64_t deadline_ms, struct buffer *output)
{
    char chunk[4096];
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        if (left_ms <= 0 || poll(&ready, 1, (int)left_ms) <= 0)
            return false;
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got <= 0)
            return true;
        size_t room = output->maximum - output->length;
        buffer_append(output, chunk, (size_t)got < room ? (size_t)got : room);
    }
}

int program_run(const char *const words[], int64_t timeout_ms, struct buffer *output)
{
    int ends[2], status = -1;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = start(words, ends[1]);
    close(ends[1]);
    if (pid > 0) {
        if (!collect(ends[0], clock_monotonic_ms() + timeout_ms, output))
            kill(pid, SIGKILL);
        if (waitpid(pid, &status, 0) != pid)
            status = -1;
    }
    close(ends[0]);
    return pid > 0 && status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

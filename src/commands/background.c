#include "commands/background.h"

#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct background {
    struct molecule *molecule;
    const struct background_kind *kind;
    void *work;
    pthread_mutex_t mutex; /* around what follows */
    void *owner;           /* NULL: nobody waits */
    bool ended;            /* molecule_run had returned: who abandons it frees it */
};

static void free_background(struct background *background)
{
    background->kind->release(background->work);
    pthread_mutex_destroy(&background->mutex);
    free(background);
}

static void on_done(void *context)
{
    struct background *background = context;
    pthread_mutex_lock(&background->mutex); /* the thread is done with it, or about to be */
    void *owner = background->owner;
    pthread_mutex_unlock(&background->mutex);
    background->kind->done(owner, background->work);
    free_background(background);
}

static void *run(void *context)
{
    struct background *background = context;
    background->kind->perform(background->work);
    pthread_mutex_lock(&background->mutex);
    bool wanted = background->owner;
    background->ended = wanted && !molecule_call(background->molecule, on_done, background);
    pthread_mutex_unlock(&background->mutex);
    if (!wanted)
        free_background(background);
    return NULL;
}

struct background *background_start(struct molecule *molecule, const struct background_kind *kind,
                                    void *owner, void *work)
{
    pthread_t thread;
    sigset_t all, before;
    struct background *background = memory_allocate(sizeof *background);
    *background = (struct background){
        .molecule = molecule, .kind = kind, .work = work, .owner = owner};
    pthread_mutex_init(&background->mutex, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    bool started = pthread_create(&thread, NULL, run, background) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) {
        pthread_detach(thread);
        return background;
    }
    free_background(background);
    return NULL;
}

void background_abandon(struct background *background)
{
    if (!background)
        return;
    pthread_mutex_lock(&background->mutex);
    background->owner = NULL;
    bool ended = background->ended;
    pthread_mutex_unlock(&background->mutex);
    if (ended)
        free_background(background);
}

/* molecule.cron: schedules of a state. When one is due is told to the host, which has its function
 * called like the handler of a message (script_schedule.c). */
#ifndef MOLECULE_SCRIPT_API_CRON_H
#define MOLECULE_SCRIPT_API_CRON_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct vm;

/* The state has taken over: its schedules are told to the host. No other can be made from now
 * on. */
void schedules_go(struct vm *vm);
/* The host's answer: its runs after that moment (epoch seconds) are due. */
void schedules_since(struct vm *vm, int64_t id, int64_t since_s);
/* Nothing of it is due any more; their functions stay, for what runs. */
void schedules_stop(struct vm *vm);
/* With the state. */
void schedules_free(struct vm *vm);
/* Pushes the function of the schedule with this name; false: the state has none. */
bool schedules_push(lua_State *L, const struct vm *vm, const char *name);

#endif

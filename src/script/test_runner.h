/* busted inside the program: a Lua state as of the interpreter, where `require` finds what is in
 * the binary, too. */
#ifndef MOLECULE_SCRIPT_TEST_RUNNER_H
#define MOLECULE_SCRIPT_TEST_RUNNER_H

/* Runs lua/molecule/testing/run.lua with these words, which ends the process with busted's exit
 * code. Returns only if it failed itself: the exit code. */
int test_runner_run(int argc, char **argv);

#endif

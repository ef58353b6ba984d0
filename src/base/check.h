/* For states that cannot occur. check(condition) ends the process, in release builds too, and says
 * where: the state on disk is safe, continuing would not be. Never for input. */
#ifndef MOLECULE_BASE_CHECK_H
#define MOLECULE_BASE_CHECK_H

#define check(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE_NAME__, __LINE__))

_Noreturn void check_failed(const char *condition, const char *file, int line);

#endif

# Writes OUTPUT, a C file with `versions_commit` (src/net/versions.h), unless it is as it should be already. The commit is
# COMMIT; without it, that of the checkout in SOURCE_DIR; without a checkout, the one that `git archive` put into cmake/commit;
# else "unknown". Twelve digits of a hash, whatever the repository abbreviates to: the same bytes everywhere.
if(NOT "${COMMIT}" MATCHES "^[0-9A-Za-z._-]*$")
    message(FATAL_ERROR "MOLECULE_COMMIT is a commit's hash or name, of letters, digits and ._-; got \"${COMMIT}\"")
endif()
set(commit "${COMMIT}")
if(commit STREQUAL "" AND EXISTS ${SOURCE_DIR}/.git) # a file in a worktree; not that of a repository around this folder
    execute_process(COMMAND ${CMAKE_COMMAND} -E env --unset=GIT_DIR --unset=GIT_WORK_TREE
            git -C ${SOURCE_DIR} rev-parse --verify HEAD
        OUTPUT_VARIABLE commit ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
if(commit STREQUAL "" AND EXISTS ${SOURCE_DIR}/cmake/commit)
    file(STRINGS ${SOURCE_DIR}/cmake/commit commit LIMIT_COUNT 1)
endif()
if(commit MATCHES "^[0-9a-f]+$")
    string(SUBSTRING "${commit}" 0 12 commit)
elseif(NOT commit MATCHES "^[0-9A-Za-z._-]+$")
    set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "net/versions.h"

const char versions_commit[] = "@commit@";
]])

/* What every unit test begins with. */
#ifndef MOLECULE_TESTS_UNIT_H
#define MOLECULE_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#endif

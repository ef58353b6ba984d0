/* UUIDs as lower-case text. */
#ifndef MOLECULE_BASE_UUID_H
#define MOLECULE_BASE_UUID_H

#include <stdbool.h>

#define UUID_TEXT_SIZE 37

void uuid_random(char text[UUID_TEXT_SIZE]);
bool uuid_valid(const char *text);

/* UUIDv5 (SHA-1) of `name` in molecule's own namespace: the same name gives the same id on every
 * machine. */
void uuid_of_name(const char *name, char text[UUID_TEXT_SIZE]);

#endif

/* What questions.c and question_match.c share. Only they include this. */
#ifndef MOLECULE_MESSAGES_QUESTIONS_PRIVATE_H
#define MOLECULE_MESSAGES_QUESTIONS_PRIVATE_H

#include "messages/questions.h"

#define QUESTION_CANVAS "canvas" /* in place of a peer's id */

/* Ids of peers, in whatever case; NULL is the canvas. */
bool question_same_id(const char *one, const char *other);
/* In the order of the feed. */
bool question_is_newer(int64_t us, const char *id, int64_t than_us, const char *than_id);
/* The other ones to the canvas, for question_announce; `question` NULL: all. Yours. */
json_t *questions_list_others(const struct questions *questions, const struct question *question);

#endif

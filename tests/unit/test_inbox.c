/* The order of messages and the watermark, against a plain model, through random histories. */
#include "unit.h"

#include "base/memory.h"
#include "base/shared.h"
#include "messages/inbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 200
#define CONVERSATIONS 7
#define HISTORIES 400

static struct message *make_message(int number, int conversation)
{
    struct message *message = memory_allocate(sizeof *message);
    message->row_id = memory_format("row-%d", number);
    message->conversation = memory_format("conversation-%d", conversation);
    message->created_at = memory_format("2026-05-01T00:00:00.%06dZ", number);
    message->text = memory_copy_text("");
    message->raw = memory_copy_text("");
    return message;
}

static struct inbox_entry *admit_message(struct inbox *inbox, struct message *message,
                                         bool moves_cursor)
{
    const char *row = shared_copy("{}", 2);
    struct inbox_entry *entry = inbox_admit(inbox, message, row, 2, moves_cursor);
    shared_release(row);
    return entry;
}

static struct inbox_entry *admit(struct inbox *inbox, int number, int conversation,
                                 bool moves_cursor)
{
    return admit_message(inbox, make_message(number, conversation), moves_cursor);
}

/* As dispatch does it: the outcome of a handler is recorded first. */
static void finish(struct inbox *inbox, struct inbox_entry *entry)
{
    if (entry->state == INBOX_RUNNING)
        inbox_record(inbox, entry);
    inbox_finish(inbox, entry);
}

static void a_row_that_comes_again_is_not_admitted_twice(void **state)
{
    (void)state;
    struct inbox *inbox = inbox_open(NULL);
    struct inbox_entry *entry = admit(inbox, 1, 1, true);
    assert_non_null(entry);
    assert_null(admit(inbox, 1, 1, true));
    inbox_start(inbox, entry);
    finish(inbox, entry);
    assert_true(inbox_known(inbox, "row-1"));
    assert_null(admit(inbox, 1, 1, true));
    inbox_close(inbox);
}

static void the_cursor_waits_for_the_oldest_unfinished_message(void **state)
{
    (void)state;
    struct inbox *inbox = inbox_open(NULL);
    struct inbox_entry *first = admit(inbox, 1, 1, true), *second = admit(inbox, 2, 2, true);
    assert_null(inbox_watermark(inbox));
    inbox_start(inbox, first);
    inbox_start(inbox, second);
    finish(inbox, second);
    assert_null(inbox_watermark(inbox));
    finish(inbox, first);
    assert_string_equal(inbox_watermark(inbox), "row-2");
    inbox_close(inbox);
}

static struct inbox_entry *admit_at(struct inbox *inbox, int number, const char *stamp)
{
    struct message *message = make_message(number, number);
    free(message->created_at);
    message->created_at = memory_copy_text(stamp);
    return admit_message(inbox, message, true);
}

static void the_cursor_never_stops_between_two_rows_of_one_microsecond(void **state)
{
    (void)state;
    struct inbox *inbox = inbox_open(NULL);
    struct inbox_entry *before = admit_at(inbox, 1, "2026-05-01T00:00:00.000001Z");
    struct inbox_entry *tied[3];
    for (int i = 0; i < 3; i++)
        tied[i] = admit_at(inbox, 2 + i, "2026-05-01T00:00:00.000002Z");
    struct inbox_entry *after = admit_at(inbox, 5, "2026-05-01T00:00:00.000003Z");
    finish(inbox, before);
    assert_string_equal(inbox_watermark(inbox), "row-1");
    finish(inbox, tied[0]);
    inbox_defer(inbox, tied[1]);
    assert_string_equal(inbox_watermark(inbox), "row-1");
    finish(inbox, tied[2]);
    assert_string_equal(inbox_watermark(inbox), "row-4");
    assert_string_equal(inbox_watermark_stamp(inbox), "2026-05-01T00:00:00.000002Z");
    finish(inbox, after);
    assert_string_equal(inbox_watermark(inbox), "row-5");
    inbox_close(inbox);
}

static void the_cursor_passes_a_deferred_message_which_runs_later_all_the_same(void **state)
{
    (void)state;
    int64_t wait;
    struct inbox *inbox = inbox_open(NULL);
    struct inbox_entry *first = admit(inbox, 1, 1, true), *second = admit(inbox, 2, 2, true);
    inbox_start(inbox, first);
    inbox_retry(inbox, first, 5000, false, true);
    inbox_defer(inbox, first);
    assert_string_equal(inbox_watermark(inbox), "row-1");
    assert_int_equal(inbox_pending(inbox), 1);
    assert_ptr_equal(inbox_next(inbox, 0, &wait), second);
    inbox_start(inbox, second);
    finish(inbox, second);
    assert_string_equal(inbox_watermark(inbox), "row-2");
    assert_null(inbox_next(inbox, 4999, &wait));
    assert_int_equal(wait, 1);
    assert_ptr_equal(inbox_next(inbox, 5000, &wait), first);
    inbox_start(inbox, first);
    finish(inbox, first);
    assert_string_equal(inbox_watermark(inbox), "row-2");
    inbox_close(inbox);
}

static void a_late_row_never_pulls_the_cursor_back(void **state)
{
    (void)state;
    struct inbox *inbox = inbox_open(NULL);
    struct inbox_entry *first = admit(inbox, 5, 1, true), *late = admit(inbox, 3, 2, false);
    inbox_start(inbox, first);
    finish(inbox, first);
    inbox_start(inbox, late);
    finish(inbox, late);
    assert_string_equal(inbox_watermark(inbox), "row-5");
    inbox_close(inbox);
}

static void a_retry_with_hold_keeps_its_conversation_waiting(void **state)
{
    (void)state;
    int64_t wait;
    struct inbox *inbox = inbox_open(NULL);
    struct inbox_entry *first = admit(inbox, 1, 1, true), *second = admit(inbox, 2, 1, true);
    inbox_start(inbox, first);
    inbox_retry(inbox, first, 100, true, true);
    assert_null(inbox_next(inbox, 50, &wait));
    assert_int_equal(wait, 50);
    inbox_start(inbox, first);
    inbox_retry(inbox, first, 100, false, true);
    assert_ptr_equal(inbox_next(inbox, 50, &wait), second);
    assert_int_equal(first->attempts, 2);
    inbox_close(inbox);
}

static void the_next_message_is_handled_while_a_reply_is_on_its_way_and_its_own_waits(void **state)
{
    (void)state;
    int64_t wait;
    struct inbox *inbox = inbox_open(NULL);
    struct inbox_entry *first = admit(inbox, 1, 1, true), *second = admit(inbox, 2, 1, true),
                       *third = admit(inbox, 3, 1, true);
    inbox_start(inbox, first);
    inbox_record(inbox, first);
    assert_null(inbox_next(inbox, 0, &wait)); /* it is not stored yet */
    assert_true(inbox_send(inbox, first));
    assert_false(inbox_has_sent(first));
    assert_ptr_equal(inbox_next(inbox, 0, &wait), second);
    inbox_start(inbox, second);
    assert_true(inbox_has_sent(second));
    assert_true(inbox_has_unfinished_reply(second));
    assert_false(inbox_is_followed(first));
    inbox_record(inbox, second);
    assert_true(inbox_is_followed(first));
    assert_false(inbox_send(inbox, second));
    assert_null(inbox_next(inbox, 0, &wait)); /* one ahead, no more */
    inbox_settle(inbox, first);
    assert_false(inbox_has_sent(second));
    assert_true(inbox_has_unfinished_reply(second));
    assert_ptr_equal(inbox_parked_after(first), second);
    finish(inbox, first);
    assert_true(inbox_send(inbox, second));
    assert_int_equal(inbox_answering(inbox), 1);
    assert_ptr_equal(inbox_next(inbox, 0, &wait), third);
    assert_null(inbox_parked_after(second));
    finish(inbox, second);
    assert_int_equal(inbox_answering(inbox), 0);
    inbox_close(inbox);
}

/* A model beside the inbox: what was admitted, in which conversation, in which state. */
struct model {
    struct inbox_entry *entries[ROWS];
    int conversation[ROWS];
    bool finished[ROWS], deferred[ROWS], running[ROWS], sent[ROWS], late[ROWS];
    int admitted;
};

static void check_watermark(const struct model *model, const struct inbox *inbox)
{
    int expected = -1;
    for (int i = 0; i < model->admitted && (model->finished[i] || model->deferred[i]); i++)
        if (!model->late[i])
            expected = i;
    const char *watermark = inbox_watermark(inbox);
    if (expected < 0) {
        assert_null(watermark);
        return;
    }
    char text[32];
    snprintf(text, sizeof text, "row-%d", expected);
    assert_non_null(watermark);
    assert_string_equal(watermark, text);
}

static int index_of(const struct model *model, const struct inbox_entry *entry)
{
    for (int i = 0; i < model->admitted; i++)
        if (model->entries[i] == entry && !model->finished[i])
            return i;
    fail_msg("the inbox gave an entry that was finished or never admitted");
    return -1;
}

/* Whoever runs must be the oldest of its conversation, but for those set aside and one whose reply
 * is on its way, and alone in it. */
static void check_turn(const struct model *model, int which, int64_t now)
{
    for (int i = 0; i < model->admitted; i++) {
        if (i == which || model->finished[i] || model->sent[i] ||
            model->conversation[i] != model->conversation[which])
            continue;
        assert_false(model->running[i]);
        if (i < which && model->entries[i]->state != INBOX_ASIDE)
            fail_msg("row %d ran before row %d of its conversation (now %lld)", which, i,
                     (long long)now);
    }
}

/* Its reply is stored: one of its conversation is on its way at a time. */
static void send_one(struct model *model, struct inbox *inbox, int which)
{
    bool free = true;
    for (int i = 0; i < model->admitted; i++)
        free = free && !(model->sent[i] && model->conversation[i] == model->conversation[which]);
    assert_int_equal(inbox_send(inbox, model->entries[which]), free);
    model->sent[which] = free;
    model->running[which] = !free;
}

static void finish_one(struct model *model, struct inbox *inbox, int which)
{
    struct inbox_entry *parked = inbox_parked_after(model->entries[which]);
    if (model->sent[which] && rand() % 2)
        inbox_settle(inbox, model->entries[which]);
    finish(inbox, model->entries[which]);
    model->finished[which] = true;
    model->running[which] = model->sent[which] = false;
    if (parked)
        send_one(model, inbox, index_of(model, parked));
}

static void one_history(unsigned seed)
{
    struct inbox *inbox = inbox_open(NULL);
    struct model model = {0};
    int64_t now = 0, wait;
    int finished = 0, steps = 0;
    srand(seed);
    while (finished < ROWS && steps++ < 200000) {
        int what = rand() % 10;
        now += rand() % 3;
        if (what < 3 && model.admitted < ROWS) {
            int i = model.admitted++;
            model.conversation[i] = rand() % CONVERSATIONS;
            model.late[i] = rand() % 10 == 0;
            model.entries[i] = admit(inbox, i, model.conversation[i], !model.late[i]);
            assert_null(admit(inbox, rand() % model.admitted, 0, true)); /* pages overlap */
        } else if (what < 6) {
            struct inbox_entry *entry = inbox_next(inbox, now, &wait);
            if (!entry)
                continue;
            int i = index_of(&model, entry);
            assert_true(entry->not_before_ms <= now);
            check_turn(&model, i, now);
            inbox_start(inbox, entry);
            model.running[i] = true;
            if (rand() % 2)
                inbox_record(inbox, entry);
        } else if (model.admitted > 0) {
            int i = rand() % model.admitted;
            if (!model.running[i] && !model.sent[i])
                continue;
            if (model.sent[i] || model.entries[i]->state == INBOX_PARKED) {
                if (!model.sent[i])
                    continue;
                finish_one(&model, inbox, i);
                finished++;
            } else if (model.entries[i]->state == INBOX_RECORDING && rand() % 2) {
                send_one(&model, inbox, i);
            } else if (rand() % 3 == 0) {
                model.running[i] = false;
                inbox_retry(inbox, model.entries[i], now + rand() % 20, rand() % 2, rand() % 2);
                if (rand() % 3 == 0) {
                    inbox_defer(inbox, model.entries[i]);
                    model.deferred[i] = true;
                }
            } else {
                finish_one(&model, inbox, i);
                finished++;
            }
        }
        check_watermark(&model, inbox);
    }
    assert_int_equal(finished, ROWS);
    assert_int_equal(inbox_pending(inbox), 0);
    assert_int_equal(inbox_deferred(inbox), 0);
    assert_int_equal(inbox_running(inbox), 0);
    assert_int_equal(inbox_answering(inbox), 0);
    assert_int_equal(inbox_bytes(inbox), 0);
    inbox_close(inbox);
}

static void any_history_keeps_conversations_in_order_and_the_cursor_before_what_is_unfinished(
    void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= HISTORIES; seed++)
        one_history(seed);
}

static void messages_wait_for_their_names_and_stand_in_order_of_arrival_under_them(void **state)
{
    (void)state;
    int64_t wait;
    struct inbox *inbox = inbox_open(NULL);
    struct inbox_entry *unnamed[8];
    struct inbox_entry *first = admit(inbox, 1, 1, true), *second = admit(inbox, 2, 2, true);
    inbox_await_names(inbox);
    struct inbox_entry *third = admit(inbox, 3, 3, true);
    assert_null(inbox_next(inbox, 0, &wait));
    assert_int_equal(inbox_unnamed(inbox, unnamed, 8), 3);
    assert_ptr_equal(unnamed[0], first);
    assert_ptr_equal(unnamed[2], third);
    uint64_t sequences[] = {first->sequence, second->sequence, third->sequence};
    char key[] = "together", *keys[] = {NULL, key, key};
    struct inbox_entry *fourth = admit(inbox, 4, 4, true); /* while they are being named */
    inbox_name(inbox, sequences, keys, 3);
    assert_string_equal(third->message->conversation, "together");
    assert_string_equal(first->message->conversation, "conversation-1");
    assert_ptr_equal(inbox_next(inbox, 0, &wait), first);
    inbox_start(inbox, first);
    assert_ptr_equal(inbox_next(inbox, 0, &wait), second);
    inbox_start(inbox, second);
    /* the third is behind the second, the fourth has no name */
    assert_null(inbox_next(inbox, 0, &wait));
    assert_int_equal(inbox_unnamed(inbox, unnamed, 8), 1);
    sequences[0] = fourth->sequence;
    keys[0] = key;
    inbox_name(inbox, sequences, keys, 1);
    finish(inbox, second);
    assert_ptr_equal(inbox_next(inbox, 0, &wait), third);
    inbox_start(inbox, third);
    finish(inbox, third);
    assert_ptr_equal(inbox_next(inbox, 0, &wait), fourth);
    inbox_close(inbox);
}

static void what_came_late_gets_its_name_too_while_it_is_deferred(void **state)
{
    (void)state;
    int64_t wait;
    struct inbox *inbox = inbox_open(NULL);
    struct inbox_entry *unnamed[8];
    inbox_await_names(inbox);
    struct inbox_entry *late = admit(inbox, 1, 1, false), *handled = admit(inbox, 2, 2, true);
    inbox_record(inbox, late); /* on its way to the ledger, before its first attempt */
    inbox_start(inbox, handled);
    inbox_record(inbox, handled);
    assert_int_equal(inbox_unnamed(inbox, unnamed, 8), 1);
    assert_ptr_equal(unnamed[0], late);
    uint64_t sequences[] = {late->sequence};
    char key[] = "ticket", *keys[] = {key};
    inbox_name(inbox, sequences, keys, 1);
    inbox_retry(inbox, late, 0, true, true);
    inbox_defer(inbox, late);
    finish(inbox, handled);
    assert_ptr_equal(inbox_next(inbox, 0, &wait), late);
    assert_string_equal(late->message->conversation, "ticket");
    inbox_close(inbox);
}

static void the_oldest_pending_message_is_the_first_that_is_neither_finished_nor_deferred(
    void **state)
{
    (void)state;
    struct inbox *inbox = inbox_open(NULL);
    assert_null(inbox_oldest_pending(inbox));
    struct inbox_entry *first = admit(inbox, 1, 1, true), *second = admit(inbox, 2, 2, true),
                       *third = admit(inbox, 3, 3, true);
    assert_ptr_equal(inbox_oldest_pending(inbox), first);
    inbox_defer(inbox, first);
    assert_ptr_equal(inbox_oldest_pending(inbox), second);
    finish(inbox, second);
    assert_ptr_equal(inbox_oldest_pending(inbox), third);
    finish(inbox, third);
    assert_null(inbox_oldest_pending(inbox));
    inbox_close(inbox);
}

static void what_ended_while_it_was_being_named_is_passed_over(void **state)
{
    (void)state;
    int64_t wait;
    struct inbox *inbox = inbox_open(NULL);
    inbox_await_names(inbox);
    struct inbox_entry *first = admit(inbox, 1, 1, true), *second = admit(inbox, 2, 2, true);
    uint64_t sequences[] = {first->sequence, second->sequence};
    char key[] = "key", *keys[] = {key, key};
    inbox_start(inbox, first);
    inbox_record(inbox, second); /* on its way out: it counts as active under its name, too */
    finish(inbox, first);
    inbox_name(inbox, sequences, keys, 2);
    struct inbox_entry *third = admit(inbox, 3, 2, true);
    sequences[0] = third->sequence;
    inbox_name(inbox, sequences, keys, 1);
    assert_null(inbox_next(inbox, 0, &wait));
    finish(inbox, second);
    assert_ptr_equal(inbox_next(inbox, 0, &wait), third);
    inbox_close(inbox);
}

static void an_inbox_that_closes_half_done_leaks_nothing(void **state)
{
    (void)state;
    struct inbox *inbox = inbox_open(NULL);
    struct inbox_entry *deferred = admit(inbox, 1, 1, true), *finished = admit(inbox, 3, 3, true);
    admit(inbox, 2, 2, true);
    inbox_start(inbox, deferred);
    inbox_retry(inbox, deferred, 100, false, true);
    inbox_defer(inbox, deferred);
    inbox_start(inbox, finished);
    finish(inbox, finished); /* behind an unfinished one */
    inbox_close(inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_that_comes_again_is_not_admitted_twice),
        cmocka_unit_test(the_cursor_waits_for_the_oldest_unfinished_message),
        cmocka_unit_test(the_cursor_never_stops_between_two_rows_of_one_microsecond),
        cmocka_unit_test(the_cursor_passes_a_deferred_message_which_runs_later_all_the_same),
        cmocka_unit_test(a_late_row_never_pulls_the_cursor_back),
        cmocka_unit_test(a_retry_with_hold_keeps_its_conversation_waiting),
        cmocka_unit_test(the_next_message_is_handled_while_a_reply_is_on_its_way_and_its_own_waits),
        cmocka_unit_test(
            any_history_keeps_conversations_in_order_and_the_cursor_before_what_is_unfinished),
        cmocka_unit_test(messages_wait_for_their_names_and_stand_in_order_of_arrival_under_them),
        cmocka_unit_test(what_came_late_gets_its_name_too_while_it_is_deferred),
        cmocka_unit_test(
            the_oldest_pending_message_is_the_first_that_is_neither_finished_nor_deferred),
        cmocka_unit_test(what_ended_while_it_was_being_named_is_passed_over),
        cmocka_unit_test(an_inbox_that_closes_half_done_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

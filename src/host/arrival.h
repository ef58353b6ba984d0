/* The rows of a page on their way into the inbox: read, looked up in the ledger, admitted. They
 * wait in the poller. */
#ifndef MOLECULE_HOST_ARRIVAL_H
#define MOLECULE_HOST_ARRIVAL_H

#include "host/workspace.h"
#include "wire/page.h"

/* A row between the page and the inbox. */
struct fetched {
    struct message *message;
    char *row;
    size_t row_length;
    bool asked; /* the ledger was asked about it */
};

/* Reads the rows of a page, behind those that wait already. */
void arrival_collect(struct workspace *workspace, const struct page *page);
/* Of a page that is read again: those that the inbox does not know, up to where the reading ends.
 * true: the page held more. */
bool arrival_collect_again(struct workspace *workspace, const struct page *page);
/* Of a page newest first: those of a lost ledger. */
void arrival_collect_deferred(struct workspace *workspace, const struct page *page);
void arrival_reverse(struct poller *poller);
/* Forgets what waits behind the first `count`. */
void arrival_cut(struct poller *poller, size_t count);
void arrival_drop(struct poller *poller);
/* Admits what waits, after the ledger was asked; then poller_admitted. */
void arrival_admit(struct workspace *workspace);

#endif

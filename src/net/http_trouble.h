/* What libcurl and its TLS library say about a failed request, turned into advice. */
#ifndef MOLECULE_NET_HTTP_TROUBLE_H
#define MOLECULE_NET_HTTP_TROUBLE_H

/* The same text, or one of this thread's that stays until the next call. */
const char *http_trouble_explain(const char *error);

#endif

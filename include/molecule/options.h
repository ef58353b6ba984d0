/* The options of a workspace. The program that embeds the host fills them in; every part of the
 * host reads these. */
#ifndef MOLECULE_OPTIONS_H
#define MOLECULE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* NAME=VALUE for a script or a backend. */
struct molecule_option {
    const char *name, *value;
};

/* The members that a line of options.def stands for, by its type. */
#define MOLECULE_MEMBER(type, member, ...) MOLECULE_MEMBER_##type(member)
#define MOLECULE_MEMBER_FLAG(member) bool member;
#define MOLECULE_MEMBER_TEXT(member) const char *member;
#define MOLECULE_MEMBER_PATH(member) const char *member;
#define MOLECULE_MEMBER_EITHER(member) bool member;
#define MOLECULE_MEMBER_CHOICE(member) const char *member;
#define MOLECULE_MEMBER_NUMBER(member) unsigned member;
#define MOLECULE_MEMBER_DURATION(member) int64_t member;
#define MOLECULE_MEMBER_MILLISECONDS(member) int64_t member;
#define MOLECULE_MEMBER_SECONDS(member) int64_t member;
#define MOLECULE_MEMBER_SIZE(member) size_t member;
#define MOLECULE_MEMBER_PAIRS(member)        \
    const struct molecule_option *member##s; \
    size_t member##_count;
#define MOLECULE_MEMBER_LIST(member) \
    const char *const *member##s;    \
    size_t member##_count;

struct playback;

struct molecule_workspace_options {
    /* required: [A-Za-z0-9][A-Za-z0-9._-]{0,127}; a UUID is lower-cased */
    const char *id;
    /* the platform whose state this is, whatever its address; NULL: api_url */
    const char *platform_name;
    /* state_directory is gone when the host ends: the log suggests no commands that use it */
    bool temporary_state;
    /* there is no platform: messages come in through molecule_serve alone, and api_url, tokens and
       what concerns polls do not matter */
    bool serve;
    /* served under this path of the server, "/name"; NULL: at its root */
    const char *serve_path;
    /* … and at this host alone, which the client asks for: a name without a port; NULL: at every
       host */
    const char *serve_host;
    /* A2A clients ask it, too, through molecule_serve, as an agent of this name unless it has its
       own; NULL: nobody does. Not with `serve` or `push` */
    const char *serve_as;
    /* the platform pushes messages to public_url, which leads to the server of molecule_serve;
       push_or_poll: they are polled for if the platform does not accept the URL */
    bool push, push_or_poll;
    const char *public_url;
    /* what takes longer is answered with "the answer follows", and shown in the canvas when it is
       there; 0: however long it takes */
    int64_t answer_within_ms;
    /* of the platform, too, no secret is asked */
    bool push_unauthenticated;
    /* what the script asks of the network and of programs fails with OFFLINE; the platform is
       still talked to */
    bool offline;
    /* … except what this has recorded results of (src/script/playback.h); NULL: nothing. Yours, and
       closed after the host */
    struct playback *playback;

    /* One member, or two, for each MOLECULE_OPTION of options.def, which says what they mean. */
#define MOLECULE_OPTION MOLECULE_MEMBER
#include "molecule/options.def"
};

/* A server of ours, for workspaces with `serve` or `serve_as`. */
struct molecule_serve_options {
#define MOLECULE_SERVE_OPTION MOLECULE_MEMBER
#define MOLECULE_LISTEN_OPTION MOLECULE_MEMBER
#include "molecule/options.def"
};

#endif

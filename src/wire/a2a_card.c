/* The agent card, for readers of 1.0 [1.0 §4.4, §8] and of 0.3 [0.3 §5.5] in one document. Each
 * ignores the other's members. It must not be signed as it is: a verifier of 1.0 writes the card
 * again from what its schema knows [1.0 §8.4]; only_1_0 is for that. */
#include "wire/a2a_private.h"

static void put_text(json_t **object, const char *name, const char *text)
{
    if (text)
        a2a_put(object, name, json_string(text));
}

/* The value, or else the other one. Steals `other`. */
static void put_or(json_t **object, const char *name, const json_t *value, json_t *other)
{
    if (value) {
        json_decref(other);
        other = json_incref((json_t *)value);
    }
    a2a_put(object, name, other);
}

/* 0.3 is spoken at the same url; a client of 1.0 takes the first that it knows. */
static json_t *interfaces(const char *url)
{
    return json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}, {s:s, s:s, s:s}]",                //
                     "url", url, "protocolBinding", "JSONRPC", "protocolVersion", "1.0",   //
                     "url", url, "protocolBinding", "HTTP+JSON", "protocolVersion", "1.0", //
                     "url", url, "protocolBinding", "JSONRPC", "protocolVersion", "0.3");
}

static json_t *capabilities(const struct a2a_card *card)
{
    json_t *value = json_object();
    a2a_put(&value, "streaming", json_boolean(card->streaming));
    a2a_put(&value, "pushNotifications", json_boolean(card->push_notifications));
    a2a_put(&value, "extendedAgentCard", json_boolean(card->extended));
    if (json_array_size(card->extensions) > 0)
        a2a_put(&value, "extensions", json_incref((json_t *)card->extensions));
    return value;
}

/* 0.3 has an OpenAPI scheme with a `type`, 1.0 a member named after the scheme. One object with
 * both is read right by a2a-sdk 1.3.0 and 0.3.26 and @a2a-js/sdk 1.3.0: the first wraps what has a
 * `type` into the member of 1.0 and ignores the inner one, so `scheme` must say the same in both.
 */
static void put_bearer(json_t **card, bool only_1_0)
{
    json_t *scheme = json_pack("{s:{s:s}}", "httpAuthSecurityScheme", "scheme", "Bearer");
    json_t *schemes = json_object();
    if (!only_1_0) {
        a2a_put(&scheme, "type", json_string("http"));
        a2a_put(&scheme, "scheme", json_string("Bearer"));
        a2a_put(card, "security", json_pack("[{s:[]}]", "bearer"));
    }
    a2a_put(&schemes, "bearer", scheme);
    a2a_put(card, "securitySchemes", schemes);
    a2a_put(card, "securityRequirements",
            json_pack("[{s:{s:{s:[]}}}]", "schemes", "bearer", "list"));
}

static void put_old(json_t **card, const struct a2a_card *from)
{
    put_text(card, "url", from->url);
    put_text(card, "preferredTransport", "JSONRPC");
    put_text(card, "protocolVersion", "0.3.0");
    a2a_put(card, "additionalInterfaces",
            json_pack("[{s:s, s:s}]", "url", from->url, "transport", "JSONRPC"));
    a2a_put(card, "supportsAuthenticatedExtendedCard", json_boolean(from->extended));
}

static json_t *skill_of_name(const char *name, const char *description)
{
    return json_pack("[{s:s, s:s, s:s, s:[s]}]", "id", "messages", "name", name, "description",
                     description, "tags", "messages");
}

json_t *a2a_card_build(const struct a2a_card *from)
{
    const char *name = from->name ? from->name : "molecule";
    const char *description = from->description ? from->description : name;
    const json_t *skills = json_array_size(from->skills) > 0 ? from->skills : NULL;
    json_t *card = json_object();
    put_text(&card, "name", name);
    put_text(&card, "description", description);
    put_text(&card, "version", from->version ? from->version : "0");
    put_text(&card, "documentationUrl", from->documentation_url);
    put_text(&card, "iconUrl", from->icon_url);
    if (from->provider)
        a2a_put(&card, "provider", json_incref((json_t *)from->provider));
    a2a_put(&card, "supportedInterfaces", interfaces(from->url));
    a2a_put(&card, "capabilities", capabilities(from));
    if (from->bearer)
        put_bearer(&card, from->only_1_0);
    put_or(&card, "defaultInputModes", from->input_modes, json_pack("[s]", "text/plain"));
    put_or(&card, "defaultOutputModes", from->output_modes, json_pack("[s]", "text/plain"));
    put_or(&card, "skills", skills, skill_of_name(name, description));
    if (!from->only_1_0)
        put_old(&card, from);
    return card;
}

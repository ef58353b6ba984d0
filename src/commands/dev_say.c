#include "commands/dev_say.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "commands/browser.h"

#include <stdio.h>
#include <stdlib.h>

void dev_say_how(const struct dev_host_orders *orders, const char *answers, bool pushed,
                 bool on_terminal)
{
    const char *url = orders->url, *id = orders->workspace_id;
    terminal_print(stdout, "playground: %s/__emulator/playground%s\n", url,
                   on_terminal ? " (or type here; /help)" : "");
    if (on_terminal)
        return;
    terminal_print(stdout,
                   "%s serves workspace %s; say something to it, and read its answers:\n"
                   "  in the playground, or type a line here (/help for details), or\n"
                   "  curl -s %s/__emulator/messages --json '{\"to\":\"%s\",\"text\":\"hello\"}'\n"
                   "  curl -s '%s/__emulator/%s'\n"
                   "its state: molecule status %s --state-dir %s\n",
                   answers, id, url, id, url,
                   pushed ? "playground/messages?limit=1" : "wait?path=/notify&count=1", id,
                   orders->state_directory);
}

void dev_show_page(const char *url)
{
    char *page = memory_format("%s/__emulator/playground", url);
    if (!browser_open(page))
        terminal_print(stderr, "molecule dev: --open: there is no xdg-open; open %s yourself\n",
                       page);
    free(page);
}

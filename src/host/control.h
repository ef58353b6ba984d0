/* The control socket of a live workspace, <state-dir>/<id>.sock (0600): one JSON line in, one JSON
 * line out.
 *
 *   {"do": "status"}                      -> {"ok": true, "status": {…}}
 *   {"do": "dead retry", "row_id": "…"}   -> {"ok": true, "found": true}
 *   {"do": "dead drop", "row_id": "…"}    -> {"ok": true, "found": true}
 *   anything else                         -> {"ok": false, "error": "…"}
 *
 * The <id>.sock of a fleet's workspaces lead to one socket, fleet-<pid>.sock, where each request
 * names its "workspace". */
#ifndef MOLECULE_HOST_CONTROL_H
#define MOLECULE_HOST_CONTROL_H

struct host;
struct workspace;

/* A socket that cannot be made is logged; the workspace goes on without. */
void control_open(struct workspace *workspace);
void control_close(struct workspace *workspace); /* fine if it is not open */
/* What the workspaces of a fleet shared. */
void control_close_shared(struct host *host);

#endif

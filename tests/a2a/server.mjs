// An agent built on @a2a-js/sdk 1.x, for tests/e2e/a2a_client_spec.lua: it echoes, streams when it is told to count, and works until it is
// canceled when it is told to wait. It prints its URL when it listens. The SDK lies below $A2A_NODE.
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.env.A2A_NODE + "/"));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { AgentEvent, DefaultRequestHandler, InMemoryTaskStore, JsonRpcTransportHandler, ServerCallContext } =
  await load("@a2a-js/sdk/server");
const { TaskState } = await load("@a2a-js/sdk");

const text = (value) => ({ content: { $case: "text", value }, metadata: undefined, filename: "", mediaType: "" });
const status = (state) => ({ state, timestamp: new Date().toISOString(), message: undefined });

class Words {
  async execute(context, bus) {
    const { taskId, contextId, userMessage } = context;
    const said = userMessage.parts.map((part) => part.content.value).join("");
    const piece = (words, append, lastChunk) => bus.publish(AgentEvent.artifactUpdate({ taskId, contextId, append, lastChunk,
      metadata: undefined, artifact: { artifactId: "a1", name: "answer", description: "", parts: [text(words)], metadata: undefined,
        extensions: [] } }));
    const turn = (state) => bus.publish(AgentEvent.statusUpdate({ taskId, contextId, status: status(state), metadata: undefined }));
    bus.publish(AgentEvent.task({ id: taskId, contextId, status: status(TaskState.TASK_STATE_WORKING), history: [userMessage],
      artifacts: [], metadata: undefined }));
    this.turn = turn;
    if (said === "wait") return;
    if (said === "count") {
      piece("1 ", false, false);
      piece("2 ", true, false);
      piece("3", true, true);
    } else {
      piece(said, false, true);
    }
    turn(TaskState.TASK_STATE_COMPLETED);
    bus.finished();
  }
  async cancelTask(taskId, bus) {
    this.turn(TaskState.TASK_STATE_CANCELED);
    bus.finished();
  }
}

const interfaces = [];
const card = {
  name: "node", description: "echoes", version: "1", supportedInterfaces: interfaces,
  capabilities: { streaming: true, pushNotifications: false, extensions: [] }, defaultInputModes: ["text/plain"],
  defaultOutputModes: ["text/plain"], securitySchemes: {}, securityRequirements: [], signatures: [],
  skills: [{ id: "echo", name: "echo", description: "echoes", tags: [], examples: [], inputModes: [], outputModes: [],
    securityRequirements: [] }],
};
const transport = new JsonRpcTransportHandler(new DefaultRequestHandler(card, new InMemoryTaskStore(), new Words()));

const server = createServer(async (request, response) => {
  if (request.method === "GET") {
    response.writeHead(request.url.endsWith("agent-card.json") ? 200 : 404, { "Content-Type": "application/json" });
    return response.end(JSON.stringify(card));
  }
  let body = "";
  for await (const piece of request) body += piece;
  const answer = await transport.handle(JSON.parse(body), new ServerCallContext({ requestedVersion: request.headers["a2a-version"] }));
  if (typeof answer[Symbol.asyncIterator] !== "function") {
    response.writeHead(200, { "Content-Type": "application/json" });
    return response.end(JSON.stringify(answer));
  }
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  for await (const event of answer) response.write(`data: ${JSON.stringify(event)}\n\n`);
  response.end();
});
server.listen(0, "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  interfaces.push({ url, protocolBinding: "JSONRPC", protocolVersion: "1.0", tenant: "" });
  console.log(url);
});

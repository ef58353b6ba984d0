// A client built on @a2a-js/sdk, for tests/e2e/a2a_sdk_spec.lua: a line of JSON for each check, {"check": …, …}.
//
//     node client.mjs URL TOKEN WEBHOOK BINDING    BINDING: JSONRPC, HTTP+JSON, or 0.3
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import process from "node:process";

// the SDK lies below $A2A_NODE, and not beside this file
const sdk = createRequire(process.env.A2A_NODE + "/package.json");
const load = (name) => import(pathToFileURL(sdk.resolve(name)));
const { ClientFactory, DefaultAgentCardResolver, JsonRpcTransportFactory, RestTransportFactory,
  createAuthenticatingFetchWithRetry } = await load("@a2a-js/sdk/client");
const { TaskState, Role } = await load("@a2a-js/sdk");

const [url, token, webhook, binding] = process.argv.slice(2);
const say = (check, more) => console.log(JSON.stringify({ check, ...more }));
const state = (status) => TaskState[status.state];
const texts = (parts) => parts.map((part) => part.content?.value).join("");

const message = (text, taskId) => ({ messageId: randomUUID(), contextId: "", taskId: taskId ?? "", role: Role.ROLE_USER,
  parts: [{ content: { $case: "text", value: text }, metadata: undefined, filename: "", mediaType: "" }],
  metadata: undefined, extensions: [], referenceTaskIds: [] });
const hook = (fields) => ({ tenant: "", id: "", taskId: "", url: webhook, token: "", authentication: undefined, ...fields });
const request = (text, { taskId, atOnce, config } = {}) => ({ tenant: "", message: message(text, taskId), metadata: undefined,
  configuration: { acceptedOutputModes: [], taskPushNotificationConfig: config, returnImmediately: atOnce ?? false } });

// an event in a word, as tests/support/served.lua has it
function word({ payload: { $case, value } }) {
  if ($case === "task") return state(value.status);
  if ($case === "message") return "message " + texts(value.parts);
  if ($case === "statusUpdate") {
    return (state(value.status) + " " + (value.status.message ? texts(value.status.message.parts) : "")).trim();
  }
  return (value.append ? "+" : "") + (value.artifact.name || "reply") + " " + texts(value.artifact.parts);
}

async function connect(fetchImpl) {
  const legacy = { legacyCompat: { enabled: binding === "0.3" } };
  const resolver = new DefaultAgentCardResolver({ fetchImpl, ...legacy });
  const card = await resolver.resolve(url);
  if (binding === "0.3") card.supportedInterfaces = card.supportedInterfaces.filter((each) => each.protocolVersion === "0.3");
  const factory = new ClientFactory({
    transports: [binding === "HTTP+JSON" ? new RestTransportFactory({ fetchImpl })
      : new JsonRpcTransportFactory({ fetchImpl, ...legacy })],
    cardResolver: resolver,
  });
  return [await factory.createFromAgentCard(card), card];
}

const withToken = createAuthenticatingFetchWithRetry(fetch, {
  headers: async () => ({ Authorization: "Bearer " + token }),
  shouldRetryWithHeaders: async () => undefined,
});
const [client, card] = await connect(withToken);
const send = (text, more) => client.sendMessage(request(text, more));

const checks = {
  async send() {
    const task = await send("echo hello");
    say("send", { state: state(task.status), text: texts(task.artifacts[0].parts) });
    const got = await client.getTask({ tenant: "", id: task.id });
    say("get", { same: JSON.stringify(got) === JSON.stringify(task) });
    say("message", { text: texts((await send("message")).parts) });
  },
  async stream() {
    const words = [];
    for await (const event of client.sendMessageStream(request("count"))) words.push(word(event));
    say("stream", { words });
  },
  async ask() {
    const task = await send("ask");
    const answered = await send("this", { taskId: task.id });
    say("ask", { before: state(task.status), after: state(answered.status), text: texts(answered.artifacts[0].parts) });
  },
  async cancel() {
    const task = await send("ask");
    say("cancel", { state: state((await client.cancelTask({ tenant: "", id: task.id, metadata: undefined })).status) });
  },
  async subscribe() {
    const task = await send("gate subscribe", { atOnce: true });
    const words = [];
    for await (const event of client.resubscribeTask({ tenant: "", id: task.id })) {
      if (words.length === 0) say("subscribed", { state: word(event) });
      words.push(word(event));
    }
    say("subscribe", { last: words.at(-1) });
  },
  async list() {
    if (binding === "0.3") return;
    const found = await client.listTasks({ tenant: "", contextId: "", status: TaskState.TASK_STATE_UNSPECIFIED, pageSize: 2,
      pageToken: "", statusTimestampAfter: undefined });
    say("list", { count: found.tasks.length, total: found.totalSize, more: found.nextPageToken !== "" });
  },
  async webhook() {
    const task = await send("ask", { config: hook({ token: "t-1" }) });
    const config = await client.createTaskPushNotificationConfig(hook({ taskId: task.id, id: "second", url: webhook + "/second" }));
    const listed = await client.listTaskPushNotificationConfig({ tenant: "", taskId: task.id, pageSize: 0, pageToken: "" });
    const got = await client.getTaskPushNotificationConfig({ tenant: "", taskId: task.id, id: "second" });
    await client.deleteTaskPushNotificationConfig({ tenant: "", taskId: task.id, id: "second" });
    await send("yes", { taskId: task.id });
    say("webhook", { id: config.id, count: listed.configs.length, url: got.url, task: task.id });
  },
  async errors() {
    const [stranger] = await connect(fetch);
    for (const [name, one] of Object.entries({ unknown: client, refused: stranger })) {
      try {
        await one.getTask({ tenant: "", id: "none" });
        say(name, { error: null });
      } catch (error) {
        say(name, { error: error.constructor.name, text: error.message });
      }
    }
  },
};

say("card", { name: card.name, interfaces: card.supportedInterfaces.length });
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
  } catch (error) {
    say(name, { problem: error.stack });
  }
}

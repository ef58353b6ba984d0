// An echo agent on @a2a-js/sdk, for the benchmark. It prints its URL when it listens.
import express from "express";
import { DefaultRequestHandler, InMemoryTaskStore } from "@a2a-js/sdk/server";
import { jsonRpcHandler, UserBuilder } from "@a2a-js/sdk/server/express";
import { randomUUID } from "node:crypto";
import { Role, TaskState } from "@a2a-js/sdk";
import { AgentEvent } from "@a2a-js/sdk/server";

const card = {
  name: "echo", description: "echoes", version: "1",
  supportedInterfaces: [{ url: "http://127.0.0.1/", protocolBinding: "JSONRPC", protocolVersion: "1.0", tenant: "" }],
  capabilities: { streaming: true, pushNotifications: false, extensions: [] },
  defaultInputModes: ["text/plain"], defaultOutputModes: ["text/plain"], securitySchemes: {}, securityRequirements: [], signatures: [],
  skills: [{ id: "echo", name: "echo", description: "echoes", tags: ["echo"], examples: [], inputModes: [], outputModes: [], securityRequirements: [] }],
};

class Echo {
  async execute(context, bus) {
    const text = context.userMessage.parts.map((part) => part.content?.value ?? part.text ?? "").join("");
    const parts = [{ content: { $case: "text", value: "echo: " + text }, metadata: undefined, filename: "", mediaType: "" }];
    const status = { state: TaskState.TASK_STATE_COMPLETED, timestamp: new Date().toISOString(), message: undefined };
    bus.publish(AgentEvent.task({ id: context.taskId, contextId: context.contextId, status, history: [context.userMessage],
      artifacts: [{ artifactId: randomUUID(), name: "answer", description: "", parts, metadata: undefined, extensions: [] }], metadata: undefined }));
    bus.finished();
  }
  async cancelTask() {}
}

const handler = new DefaultRequestHandler(card, new InMemoryTaskStore(), new Echo());
const app = express();
app.use("/", jsonRpcHandler({ requestHandler: handler, userBuilder: UserBuilder.noAuthentication }));
const server = app.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));

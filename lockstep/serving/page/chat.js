"use strict";
// The page of the gateway: it talks to its own server only. All texts are set as text, not as HTML.

const find = (id) => document.getElementById(id);
const messages = [];
let running = null;

function buildHeaders() {
  const headers = { "Content-Type": "application/json" };
  if (find("key").value) headers.Authorization = `Bearer ${find("key").value}`;
  return headers;
}

function addItem(role, text) {
  const item = document.createElement("li");
  const name = document.createElement("b");
  const content = document.createElement("span");
  item.className = role;
  name.textContent = role === "user" ? "You" : find("model").value;
  content.textContent = text;
  item.append(name, content);
  find("conversation").append(item);
  scrollTo(0, document.body.scrollHeight);
  return content;
}

function setRunning(controller) {
  running = controller;
  find("send").disabled = controller !== null;
  find("stop").disabled = controller === null;
}

async function loadModels() {
  const response = await fetch("v1/models", { headers: buildHeaders() });
  if (response.status === 401) {
    find("access").hidden = false;
    find("status").textContent = "This server needs an API key.";
    return;
  }
  const models = (await response.json()).data;
  find("model").replaceChildren(...models.map((model) => new Option(model.id)));
  find("status").textContent = "";
  find("access").hidden = true;
}

async function* readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      if (event === "data: [DONE]") return;
      yield JSON.parse(event.slice("data: ".length));
    }
  }
}

async function ask(text) {
  const controller = new AbortController();
  setRunning(controller);
  messages.push({ role: "user", content: text });
  const question = addItem("user", text);
  find("status").textContent = "The model is answering.";
  let answer = "";
  let note = "";
  const content = addItem("assistant", "");
  try {
    const response = await fetch("v1/chat/completions", {
      method: "POST",
      headers: buildHeaders(),
      signal: controller.signal,
      body: JSON.stringify({ model: find("model").value, messages, stream: true }),
    });
    if (!response.ok) throw new Error((await response.json()).error.message);
    for await (const event of readEvents(response)) {
      if (event.error) throw new Error(event.error.message);
      for (const choice of event.choices) {
        answer += choice.delta.content ?? "";
        if (choice.finish_reason === "length") note = "The answer reached its maximum length.";
      }
      content.textContent = answer;
      scrollTo(0, document.body.scrollHeight);
    }
    note = note || "The answer is complete.";
  } catch (error) {
    note = error.name === "AbortError" ? "Stopped." : `Error: ${error.message}`;
  }
  if (answer) {
    messages.push({ role: "assistant", content: answer });
  } else {
    messages.pop();
    content.parentElement.remove();
    question.parentElement.remove();
    find("question").value ||= text;
  }
  find("status").textContent = note;
  setRunning(null);
  find("question").focus();
}

find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find("question").value.trim();
  if (!text || running) return;
  find("question").value = "";
  ask(text);
});
find("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    find("form").requestSubmit();
  }
});
find("stop").addEventListener("click", () => running?.abort());
find("access").addEventListener("submit", (event) => {
  event.preventDefault();
  loadModels();
});
find("clear").addEventListener("click", () => {
  running?.abort();
  messages.length = 0;
  find("conversation").replaceChildren();
  find("question").focus();
});
loadModels();

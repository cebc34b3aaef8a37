"use strict";
// The page of the gateway: it talks to its own server only. All texts are set as text, not as HTML.

const find = (id) => document.getElementById(id);
let messages = [];
let running = null;
let takesFeedback = false;

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

function addThumbs(content, requestId) {
  const group = document.createElement("div");
  group.className = "buttons";
  for (const [thumb, text] of [["up", "Good answer"], ["down", "Bad answer"]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => sendThumb(button, requestId, thumb));
    group.append(button);
  }
  content.after(group);
}

async function sendThumb(button, requestId, thumb) {
  try {
    const response = await fetch("v1/feedback", {
      method: "POST",
      headers: buildHeaders(),
      body: JSON.stringify({ request_id: requestId, thumb }),
    });
    if (!response.ok) throw new Error((await response.json()).error.message);
    for (const other of button.parentElement.children) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    find("status").textContent = "Your feedback is stored.";
  } catch (error) {
    find("status").textContent = `Error: ${error.message}`;
  }
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
    find("status").textContent = find("key").value
      ? "This API key is not valid."
      : "This server needs an API key.";
    return;
  }
  const { data, feedback } = await response.json();
  takesFeedback = feedback;
  find("model").replaceChildren(...data.map((model) => new Option(model.id)));
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
  const conversation = messages; // another one if the page is cleared meanwhile
  setRunning(controller);
  conversation.push({ role: "user", content: text });
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
      body: JSON.stringify({ model: find("model").value, messages: conversation, stream: true }),
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
    if (answer && takesFeedback) addThumbs(content, response.headers.get("x-request-id"));
  } catch (error) {
    note = error.name === "AbortError" ? "Stopped." : `Error: ${error.message}`;
  }
  if (answer) {
    conversation.push({ role: "assistant", content: answer });
  } else {
    conversation.pop();
    content.parentElement.remove();
    question.parentElement.remove();
    if (messages === conversation) find("question").value ||= text;
  }
  find("status").textContent = messages === conversation ? note : "";
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
  messages = [];
  find("conversation").replaceChildren();
  find("question").focus();
});
loadModels();

// The chat page: conversations kept in the browser, answers streamed from the service.
import { listModels, streamChat } from '/ui/api.js';
import { applyLanguage, otherLanguageName, switchLanguage, t } from '/ui/i18n.js';
import { renderMarkdown } from '/ui/markdown.js';

const $ = (id) => document.getElementById(id);
const store = {
  read(key, fallback) { try { return JSON.parse(localStorage.getItem(`hanlin.${key}`)) ?? fallback; } catch { return fallback; } },
  write(key, value) { try { localStorage.setItem(`hanlin.${key}`, JSON.stringify(value)); } catch { /* full or forbidden: this page still works */ } },
};
const settingNames = ['system', 'temperature', 'top_p', 'max_tokens', 'seed', 'api_key'];
const defaults = { system: '', temperature: '0.7', top_p: '1', max_tokens: '1024', seed: '', api_key: '' };

let settings = { ...defaults, ...store.read('settings', {}) };
let conversations = store.read('conversations', []);  // [{title, messages: [{role, content, error?, note?}]}], newest first
let current = null;  // one of them, or null for a conversation not begun
let running = null;  // AbortController of the answer being written

// ---- drawing ----

function make(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
}
const seal = () => make('img', { src: '/ui/icon.svg', alt: '', width: 28, height: 28 });
const labels = () => ({ copy: t('copy'), copied: t('copied') });

function drawConversations() {
  $('conversations').replaceChildren(...conversations.map((conversation) => {
    const open = make('button', { type: 'button', textContent: conversation.title || t('untitled') });
    const remove = make('button', { type: 'button', className: 'remove', textContent: '×', title: t('remove') });
    open.addEventListener('click', () => select(conversation));
    remove.addEventListener('click', () => {
      conversations = conversations.filter((other) => other !== conversation);
      save();
      if (conversation === current) select(null); else drawConversations();
    });
    return make('div', { className: `conversation${conversation === current ? ' active' : ''}` }, open, remove);
  }));
}

function welcome() {
  const suggestions = t('suggestions').map((text) => {
    const button = make('button', { type: 'button', textContent: text });
    button.addEventListener('click', () => ask(text));
    return button;
  });
  return make('div', { className: 'welcome' }, make('img', { src: '/ui/icon.svg', alt: '', width: 64, height: 64 }),
    make('h1', { textContent: t('welcome') }), make('p', { textContent: t('subtitle') }), make('div', { className: 'suggestions' }, ...suggestions));
}

function turn(message, isLast) {
  const body = make('div', { className: 'body' });
  if (message.role === 'user') {
    body.textContent = message.content;
    return make('div', { className: 'turn user' }, body);
  }
  body.append(...renderMarkdown(message.content, labels()));
  if (message.error) body.append(make('div', { className: 'error', textContent: `${t('failed')}: ${message.error}` }));
  const copy = make('button', { type: 'button', className: 'quiet', textContent: t('copy') });
  copy.addEventListener('click', async () => { await navigator.clipboard.writeText(message.content); copy.textContent = t('copied'); });
  const actions = make('div', { className: 'actions' }, copy);
  if (isLast) {
    const retry = make('button', { type: 'button', className: 'quiet', textContent: t('retry') });
    retry.addEventListener('click', () => { if (!running) { current.messages.pop(); answer(); } });
    actions.append(retry);
  }
  return make('div', { className: 'turn assistant' }, seal(), body, actions);
}

function draw() {
  const messages = current?.messages ?? [];
  $('messages').replaceChildren(...(messages.length ? messages.map((message, i) => turn(message, i + 1 === messages.length)) : [welcome()]));
  $('messages').scrollTop = $('messages').scrollHeight;
  drawConversations();
}

function drawControls() {
  $('send').hidden = running !== null;
  $('stop').hidden = running === null;
  $('send').disabled = !$('input').value.trim() || !$('model').value;
  $('language').textContent = otherLanguageName();
  $('theme').textContent = document.documentElement.dataset.theme === 'dark' ? '☀' : '☾';
}

// ---- doing ----

const save = () => store.write('conversations', conversations.slice(0, 100));

function select(conversation) {
  running?.abort();
  current = conversation;
  $('stats').textContent = '';
  document.body.classList.remove('sidebar-open');
  draw();
  $('input').focus();
}

function requestBody(messages) {
  const body = { model: $('model').value, messages: messages.map(({ role, content }) => ({ role, content })) };
  if (settings.system.trim()) body.messages.unshift({ role: 'system', content: settings.system });
  for (const name of ['temperature', 'top_p', 'max_tokens', 'seed']) {
    if (settings[name] !== '') body[name] = Number(settings[name]);
  }
  return body;
}

function showStats(usage, started, first) {
  const seconds = (performance.now() - first) / 1000;
  const rate = usage.completion_tokens > 1 && seconds > 0 ? ` · ${((usage.completion_tokens - 1) / seconds).toFixed(1)} tok/s` : '';
  $('stats').textContent = `${usage.prompt_tokens} + ${usage.completion_tokens} tok · ${((first - started) / 1000).toFixed(2)} s${rate}`;
}

// Lets the model continue the current conversation.
async function answer() {
  const conversation = current;
  const body = requestBody(conversation.messages);
  const message = { role: 'assistant', content: '' };
  conversation.messages.push(message);
  draw();
  const list = $('messages');
  const target = list.lastElementChild.querySelector('.body');
  target.classList.add('waiting');
  const control = running = new AbortController();
  drawControls();

  let scheduled = false;
  const redraw = () => {
    scheduled = false;
    const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
    target.classList.replace('waiting', 'writing');
    target.replaceChildren(...renderMarkdown(message.content, labels()));
    if (follows) list.scrollTop = list.scrollHeight;
  };
  const started = performance.now();
  let first = 0;
  try {
    for await (const event of streamChat(body, settings.api_key, control.signal)) {
      if (event.text) {
        first ||= performance.now();
        message.content += event.text;
        if (!scheduled) { scheduled = true; requestAnimationFrame(redraw); }
      }
      if (event.usage && conversation === current) showStats(event.usage, started, first || performance.now());
    }
  } catch (error) {
    if (control.signal.aborted) { if (conversation === current) $('stats').textContent = t('stopped'); }
    else message.error = error instanceof TypeError ? t('offline') : error.message;
  }
  if (running === control) running = null;
  save();
  if (conversation === current) draw();
  drawControls();
}

function ask(text) {
  if (running || !text.trim() || !$('model').value) return;
  if (!current) {
    current = { title: text.trim().slice(0, 60), messages: [] };
    conversations.unshift(current);
  }
  if (current.messages.at(-1)?.error) current.messages.pop();
  current.messages.push({ role: 'user', content: text.trim() });
  $('input').value = '';
  fitInput();
  save();
  answer();
}

function fitInput() {
  const input = $('input');
  input.style.height = 'auto';
  input.style.height = `${input.scrollHeight}px`;
  drawControls();
}

async function loadModels() {
  const select = $('model');
  try {
    const names = await listModels(settings.api_key);
    const options = names.map((name) => make('option', { value: name, textContent: name }));
    select.replaceChildren(...(options.length ? options : [make('option', { value: '', textContent: t('noModels') })]));
    const last = store.read('model', '');
    if (names.includes(last)) select.value = last;
  } catch (error) {
    select.replaceChildren(make('option', { value: '', textContent: error instanceof TypeError ? t('offline') : error.message }));
  }
  drawControls();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  drawControls();
}

// ---- wiring ----

$('composer').addEventListener('submit', (event) => { event.preventDefault(); ask($('input').value); });
$('input').addEventListener('input', fitInput);
$('input').addEventListener('keydown', (event) => {
  // While an input method composes (Chinese, Japanese …), Enter chooses a word.
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); ask($('input').value); }
});
$('stop').addEventListener('click', () => running?.abort());
$('new-chat').addEventListener('click', () => select(null));
$('model').addEventListener('change', () => { store.write('model', $('model').value); drawControls(); });
$('toggle-sidebar').addEventListener('click', (event) => { event.stopPropagation(); document.body.classList.toggle('sidebar-open'); });
document.querySelector('main').addEventListener('click', () => document.body.classList.remove('sidebar-open'));
$('language').addEventListener('click', () => { switchLanguage(); draw(); drawControls(); });
$('theme').addEventListener('click', () => {
  const theme = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  store.write('theme', theme);
  setTheme(theme);
});
$('open-settings').addEventListener('click', () => {
  for (const name of settingNames) $(name).value = settings[name];
  $('settings').returnValue = '';
  $('settings').showModal();
});
$('settings').addEventListener('close', () => {
  const choice = $('settings').returnValue;
  if (choice === '') return;  // left with Escape
  settings = choice === 'reset' ? { ...defaults } : Object.fromEntries(settingNames.map((name) => [name, $(name).value]));
  store.write('settings', settings);
  loadModels();
});

applyLanguage();
setTheme(store.read('theme', null) ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
draw();
await loadModels();
const question = new URLSearchParams(location.search).get('q');  // /?q=… fills the box; only a person sends it
if (question) { $('input').value = question; fitInput(); }

// The words of the interface, in English and Chinese.
const words = {
  en: {
    newChat: '+  New chat', conversations: 'Conversations', docs: 'API docs', language: 'Language: English → 中文', theme: 'Light or dark',
    model: 'Model', settings: 'Settings', placeholder: 'Ask anything', send: 'Send', stop: 'Stop',
    hint: 'Enter sends, Shift+Enter starts a new line. Answers can be wrong; check what matters.',
    system: 'System prompt', temperature: 'Temperature', topP: 'Top-p', maxTokens: 'Longest answer (tokens)', seed: 'Seed (empty: random)',
    apiKey: 'API key (only if the server asks for one)', reset: 'Defaults', done: 'Done', untitled: 'New chat', remove: 'Delete',
    welcome: 'What are we working on?', subtitle: 'Everything stays on this server.', copy: 'Copy', copied: 'Copied', retry: 'Again',
    noModels: 'no chat model', failed: 'The answer failed', offline: 'The server cannot be reached. Is it running?', stopped: 'stopped',
    suggestions: ['Write a Python function that checks whether a word is a palindrome.', 'Explain how a hash map works, with an example.',
      'Translate into Chinese: “A journey of a thousand miles begins with a single step.”', 'Give me three names for a small tea house.'],
  },
  zh: {
    newChat: '+  新对话', conversations: '对话列表', docs: '接口文档', language: '语言：中文 → English', theme: '浅色或深色',
    model: '模型', settings: '设置', placeholder: '想问点什么？', send: '发送', stop: '停止',
    hint: '回车发送，Shift+回车换行。回答可能有误，重要内容请核对。',
    system: '系统提示词', temperature: '温度', topP: 'Top-p', maxTokens: '最长回答（词元）', seed: '随机种子（空：随机）',
    apiKey: 'API 密钥（仅当服务器要求时）', reset: '恢复默认', done: '完成', untitled: '新对话', remove: '删除',
    welcome: '今天想做些什么？', subtitle: '所有内容都留在这台服务器上。', copy: '复制', copied: '已复制', retry: '重试',
    noModels: '没有对话模型', failed: '回答失败', offline: '无法连接服务器。它在运行吗？', stopped: '已停止',
    suggestions: ['写一个判断单词是否回文的 Python 函数。', '举例说明哈希表的工作原理。', '翻译成英文：“千里之行，始于足下。”', '给一家小茶馆起三个名字。'],
  },
};

let language = localStorage.getItem('hanlin.language') || (navigator.language.startsWith('zh') ? 'zh' : 'en');

export const t = (key) => words[language][key];
export const otherLanguageName = () => (language === 'en' ? '中文' : 'EN');

// Writes the words into every element that names one.
export function applyLanguage() {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  for (const el of document.querySelectorAll('[data-i18n]')) el.textContent = t(el.dataset.i18n);
  for (const el of document.querySelectorAll('[data-i18n-title]')) el.title = t(el.dataset.i18nTitle);
  for (const el of document.querySelectorAll('[data-i18n-label]')) el.setAttribute('aria-label', t(el.dataset.i18nLabel));
  for (const el of document.querySelectorAll('[data-i18n-placeholder]')) el.placeholder = t(el.dataset.i18nPlaceholder);
}

export function switchLanguage() {
  language = language === 'en' ? 'zh' : 'en';
  localStorage.setItem('hanlin.language', language);
  applyLanguage();
}

// Markdown, as models write it, into DOM nodes. Text only ever becomes text nodes: nothing a model writes can turn into markup.

const element = (tag, className) => Object.assign(document.createElement(tag), className ? { className } : {});

const inlinePattern = /(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)|\*\*(?=\S)([\s\S]+?)\*\*|(?<![\w*])\*(?=\S)([^*\n]+?)\*(?!\w)|\[([^\]\n]+)\]\((https?:\/\/[^\s)]+)\)/g;

function appendInline(parent, text) {
  let end = 0;
  for (const match of text.matchAll(inlinePattern)) {
    parent.append(text.slice(end, match.index));
    end = match.index + match[0].length;
    const [, , code, bold, italic, label, url] = match;
    if (code !== undefined) {
      parent.append(Object.assign(element('code'), { textContent: code }));
    } else if (bold !== undefined || italic !== undefined) {
      const inner = element(bold !== undefined ? 'strong' : 'em');
      appendInline(inner, bold ?? italic);
      parent.append(inner);
    } else {
      parent.append(Object.assign(element('a'), { textContent: label, href: url, target: '_blank', rel: 'noopener noreferrer' }));
    }
  }
  parent.append(text.slice(end));
}

function codeBlock(language, text, labels) {
  const box = element('div', 'code');
  const bar = element('div');
  const copy = Object.assign(element('button', 'quiet'), { type: 'button', textContent: labels.copy });
  copy.addEventListener('click', async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = labels.copied;
    setTimeout(() => { copy.textContent = labels.copy; }, 1500);
  });
  bar.append(language || 'text', copy);
  const pre = element('pre');
  pre.append(Object.assign(element('code'), { textContent: text }));
  box.append(bar, pre);
  return box;
}

const cells = (line) => line.trim().replace(/^\||\|$/g, '').split('|').map((cell) => cell.trim());

function table(lines) {
  const node = element('table');
  lines.forEach((line, i) => {
    if (i === 1) return;
    const row = element('tr');
    for (const cell of cells(line)) {
      const td = element(i === 0 ? 'th' : 'td');
      appendInline(td, cell);
      row.append(td);
    }
    node.append(row);
  });
  return node;
}

const listItem = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;

// One level of lists: what is indented below an item joins it as a list of its own.
function list(lines) {
  const [, indent, marker] = lines[0].match(listItem);
  const ordered = /\d/.test(marker);
  const node = element(ordered ? 'ol' : 'ul');
  if (ordered) node.start = parseInt(marker, 10);
  let item = null;
  let nested = [];
  const close = () => {
    if (item && nested.length) item.append(listItem.test(nested[0]) ? list(nested) : nested.join('\n'));
    nested = [];
  };
  for (const line of lines) {
    const match = line.match(listItem);
    if (match && match[1].length <= indent.length) {
      close();
      item = element('li');
      appendInline(item, match[3]);
      node.append(item);
    } else if (match || nested.length) {
      nested.push(line);
    } else {
      appendInline(item, ` ${line.trim()}`);
    }
  }
  close();
  return node;
}

// A node for each block of `text`. `labels` has copy and copied.
export function renderMarkdown(text, labels) {
  const nodes = [];
  const lines = text.split('\n');
  for (let i = 0; i < lines.length;) {
    const line = lines[i];
    const fence = line.match(/^\s*(```+|~~~+)\s*([\w+#.-]*)/);
    if (fence) {
      const start = ++i;
      while (i < lines.length && !lines[i].trim().startsWith(fence[1])) i++;
      nodes.push(codeBlock(fence[2], lines.slice(start, i++).join('\n'), labels));
      continue;
    }
    if (!line.trim()) { i++; continue; }
    const heading = line.match(/^(#{1,6})\s+(.*)$/);
    if (heading) {
      const node = element(`h${Math.min(heading[1].length, 4)}`);
      appendInline(node, heading[2]);
      nodes.push(node);
      i++;
      continue;
    }
    const startsBlock = (s) => !s.trim() || /^\s*(```|~~~)|^#{1,6}\s/.test(s);
    const start = i;
    if (listItem.test(line)) {
      while (i < lines.length && !startsBlock(lines[i])) i++;
      nodes.push(list(lines.slice(start, i)));
    } else if (line.includes('|') && /^\s*\|?\s*:?-{2,}[-|:\s]*$/.test(lines[i + 1] ?? '')) {
      while (i < lines.length && lines[i].includes('|')) i++;
      nodes.push(table(lines.slice(start, i)));
    } else if (line.startsWith('>')) {
      while (i < lines.length && lines[i].startsWith('>')) i++;
      const node = element('blockquote');
      node.append(...renderMarkdown(lines.slice(start, i).map((s) => s.replace(/^>\s?/, '')).join('\n'), labels));
      nodes.push(node);
    } else {
      do i++; while (i < lines.length && !startsBlock(lines[i]) && !listItem.test(lines[i]) && !lines[i].startsWith('>'));
      const node = element('p');
      lines.slice(start, i).forEach((part, j) => {
        if (j) node.append(element('br'));
        appendInline(node, part);
      });
      nodes.push(node);
    }
  }
  return nodes;
}

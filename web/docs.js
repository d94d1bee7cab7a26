// Draws /openapi.json: routes by group, fields of each request, and a curl line to try it.

function make(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
}

const spec = await (await fetch('/openapi.json')).json();
const resolve = (schema) => (schema?.$ref ? spec.components.schemas[schema.$ref.split('/').pop()] : schema);

// Every field of an object schema, those it takes over from others included; the outermost wins.
function fieldsOf(schema) {
  const { allOf = [], properties = {}, required = [] } = resolve(schema) ?? {};
  const fields = {};
  for (const part of allOf) Object.assign(fields, fieldsOf(part));
  for (const [name, field] of Object.entries(properties)) fields[name] = { ...field, isRequired: required.includes(name) };
  return fields;
}

function typeOf(field) {
  const target = field.$ref ? field.$ref.split('/').pop() : null;
  if (target) return target;
  if (field.enum) return field.enum.map((value) => JSON.stringify(value)).join(' | ');
  if ('const' in field) return JSON.stringify(field.const);
  if (field.anyOf) return field.anyOf.map(typeOf).join(' | ');
  if (field.type === 'array') return field.items ? `[${typeOf(field.items)}]` : 'list';
  return [field.type ?? 'any'].flat().join(' | ');
}

function notes(field) {
  const low = field.minimum ?? field.exclusiveMinimum;
  const parts = [];
  if (field.isRequired) parts.push('required');
  if ('default' in field) parts.push(`default ${JSON.stringify(field.default)}`);
  if (low !== undefined || field.maximum !== undefined) parts.push(`${'exclusiveMinimum' in field ? '>' : ''}${low ?? ''} … ${field.maximum ?? ''}`.trim());
  if (field.description) parts.push(field.description);
  return parts.join(' · ');
}

function fieldTable(schema) {
  const table = make('table');
  const rows = Object.entries(fieldsOf(schema)).sort(([, a], [, b]) => Number(b.isRequired) - Number(a.isRequired));
  for (const [name, field] of rows) {
    table.append(make('tr', {}, make('td', {}, make('code', { textContent: name })), make('td', { textContent: typeOf(field) }), make('td', { textContent: notes(field) })));
  }
  return table;
}

function operation(path, method, op) {
  const schema = op.requestBody?.content['application/json'].schema;
  const answer = op.responses['200'].content?.['application/json']?.schema;
  const example = resolve(schema)?.example;
  const curl = `curl ${location.origin}${path}${schema ? ` \\\n  -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(example ?? {}).replaceAll("'", "'\\''")}'` : ''}`;
  const detail = make('div', { className: 'detail' }, make('h3', { textContent: 'Try it' }), make('pre', {}, make('code', { textContent: curl })));
  if (schema) detail.append(make('h3', { textContent: 'Request' }), fieldTable(schema));
  if (answer) detail.append(make('h3', { textContent: 'Answer' }), fieldTable(answer));
  return make('details', {}, make('summary', {}, make('b', { textContent: method.toUpperCase() }), make('code', { textContent: path }), make('span', { textContent: op.summary })), detail);
}

let theme = null;
try { theme = JSON.parse(localStorage.getItem('hanlin.theme')); } catch { /* as the system wishes */ }
document.documentElement.dataset.theme = theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');

const page = document.getElementById('docs');
page.append(make('h1', { textContent: `${spec.info.title} API` }),
  make('p', {}, `Version ${spec.info.version}. The machine-readable form is `, make('a', { href: '/openapi.json', textContent: '/openapi.json' }),
    '. OpenAI clients work with the base URL ', make('code', { textContent: `${location.origin}/v1` }), '.'));
const groups = new Map();
for (const [path, methods] of Object.entries(spec.paths)) {
  for (const [method, op] of Object.entries(methods)) {
    const group = op.tags[0];
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(operation(path, method, op));
  }
}
for (const [group, operations] of groups) page.append(make('h2', { textContent: group }), ...operations);

// Calls to the service. Failures are Error objects whose message is meant for people.

const headers = (key) => ({ 'Content-Type': 'application/json', ...(key ? { Authorization: `Bearer ${key}` } : {}) });

async function failure(response) {
  const text = await response.text();
  try {
    return new Error(JSON.parse(text).error.message);
  } catch {
    return new Error(`HTTP ${response.status}`);
  }
}

// Names of the models that can chat or generate.
export async function listModels(key) {
  const response = await fetch('/v1/models', { headers: headers(key) });
  if (!response.ok) throw await failure(response);
  const { data } = await response.json();
  return data.filter((model) => model.capabilities.includes('generate')).map((model) => model.id);
}

// Streams an answer: yields {text} and at the end {usage}. `signal` stops it.
export async function* streamChat(body, key, signal) {
  const response = await fetch('/v1/chat/completions', {
    method: 'POST', headers: headers(key), signal,
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
  });
  if (!response.ok) throw await failure(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = '';
  while (true) {
    const { value, done } = await reader.read();
    if (done) return;
    pending += value;
    const frames = pending.split('\n\n');
    pending = frames.pop();
    for (const frame of frames) {
      if (!frame.startsWith('data: ') || frame === 'data: [DONE]') continue;
      const data = JSON.parse(frame.slice(6));
      if (data.error) throw new Error(data.error.message);
      const text = data.choices[0]?.delta?.content;
      if (text) yield { text };
      if (data.usage) yield { usage: data.usage };
    }
  }
}

// The npm package "ollama", unmodified.
import { Ollama } from 'ollama';
import { assert, assertWeather, check, finish, idle, url, weather } from './checks.mjs';

const ollama = new Ollama({ host: url });
const options = { temperature: 0, num_predict: 16 };
const messages = [{ role: 'user', content: 'Hello' }];

await check('ollama: chat', async () => {
  const answer = await ollama.chat({ model: 'mini', messages, options });
  assert.equal(answer.message.role, 'assistant');
  assert.ok(answer.message.content.length > 0);
  assert.ok(answer.done && answer.eval_count > 0);
});

await check('ollama: chat, streamed', async () => {
  const whole = await ollama.chat({ model: 'mini', messages, options });
  let text = '';
  let last;
  for await (const part of await ollama.chat({ model: 'mini', messages, options, stream: true })) {
    text += part.message.content;
    last = part;
  }
  assert.equal(text, whole.message.content);
  assert.equal(last.done, true);
});

await check('ollama: generate', async () => {
  const answer = await ollama.generate({ model: 'mini', prompt: 'Hello', options, logprobs: true, top_logprobs: 2 });
  assert.ok(answer.response.length > 0 && answer.context.length > 0);
  assert.equal(answer.logprobs[0].top_logprobs.length, 2);
});

await check('ollama: structured output', async () => {
  const answer = await ollama.chat({ model: 'mini', messages, format: weather, options: { ...options, num_predict: 200 } });
  assertWeather(JSON.parse(answer.message.content));
});

await check('ollama: errors', async () => {
  await assert.rejects(ollama.chat({ model: 'nope', messages }), (error) => {
    assert.equal(error.status_code, 404);
    assert.equal(error.error, "model 'nope' not found");
    return true;
  });
  await assert.rejects(ollama.chat({ model: 'mini', messages, think: true }), /does not support thinking/);
});

await check('ollama: abort in the middle', async () => {
  const stream = await ollama.generate({ model: 'endless', prompt: 'x', stream: true, options: { num_predict: 100000 } });
  await assert.rejects(async () => {
    for await (const part of stream) {
      assert.ok(part);
      stream.abort();
    }
  }, { name: 'AbortError' });
  await idle('endless');
});

await check('ollama: embeddings', async () => {
  const { embeddings } = await ollama.embed({ model: 'embedder', input: ['Hello', 'Good night'] });
  assert.equal(embeddings.length, 2);
  assert.ok(Math.abs(Math.hypot(...embeddings[0]) - 1) < 1e-4);
  await assert.rejects(ollama.embed({ model: 'mini', input: 'x' }), /does not support embeddings/);
});

await check('ollama: lists and manages models', async () => {
  const created = await ollama.create({ model: 'mine', from: 'mini', system: 'Be kind.', parameters: { temperature: 0 } });
  assert.equal(created.status, 'success');
  await ollama.copy({ source: 'mine', destination: 'yours' });
  const names = (await ollama.list()).models.map((model) => model.name);
  assert.ok(names.includes('mine:latest') && names.includes('yours:latest'), names.join());
  const shown = await ollama.show({ model: 'yours' });
  assert.equal(shown.system, 'Be kind.');
  assert.ok(shown.capabilities.includes('completion'));
  await ollama.delete({ model: 'mine' });
  await ollama.delete({ model: 'yours' });
  await assert.rejects(ollama.show({ model: 'mine' }), /not found/);
  await ollama.generate({ model: 'mini', prompt: '' });
  assert.ok((await ollama.ps()).models.some((model) => model.name === 'mini:latest'));
  assert.match((await ollama.version()).version, /^\d+\.\d+\.\d+/);
});

finish();

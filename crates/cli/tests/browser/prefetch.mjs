// A prefetch, while its record and the list are open; and what the whole fleet says of it afterwards.
import assert from 'node:assert/strict';
import { console_, flow, shot, signIn } from './browser.mjs';

await flow('prefetch', async (open) => {
  const page = await open();
  await signIn(page);
  await page.goto(`${console_}/ui/refresh/prefetch`);
  await page.getByLabel('URLs, one a line').fill('http://demo.localhost/install/package.zip\nhttp://demo.localhost/nothing.jpg');
  await page.getByText('2 lines are fine.').waitFor();
  await page.getByRole('button', { name: 'Prefetch' }).click();
  await page.getByRole('heading', { name: /Operation \d+: prefetch/ }).waitFor();
  // Told while the page stays open: one line is there, the other the origin does not have.
  await page.locator('.numbers .state').getByText('failed').waitFor();
  await page.getByRole('heading', { name: 'What failed' }).waitFor();
  await shot(page, 'prefetch-failed');

  await page.goto(`${console_}/ui/refresh/prefetch`);
  await page.getByLabel('URLs, one a line').fill('http://demo.localhost/video/master.m3u8');
  await page.getByLabel('What they name').selectOption('all');
  await page.getByRole('button', { name: 'Preview' }).click();
  await page.getByRole('heading', { name: 'What it would fetch' }).waitFor();
  await page.getByRole('cell', { name: /demo\.localhost\/video\/.*\.ts$/ }).first().waitFor();
  await shot(page, 'prefetch-preview');
  await page.getByRole('button', { name: 'Prefetch' }).click();
  await page.locator('.numbers .state').getByText('complete').waitFor();
  await page.getByText('playlists are followed: all renditions').waitFor();
  // Each byte came from the origin once, for three POPs.
  const cost = page.locator('.numbers div', { hasText: 'Origin ÷ object bytes' }).locator('dd');
  assert.equal(await cost.innerText(), '1.00');
  await shot(page, 'prefetch-record');

  // Outside of its hours nothing is begun; paused, resumed and cancelled meanwhile.
  await page.goto(`${console_}/ui/refresh/prefetch`);
  await page.getByLabel('URLs, one a line').fill('http://demo.localhost/b.html');
  const clock = (hours) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16);
  const [opens, closes] = [clock(2), clock(3)];
  await page.getByLabel('Begin files only from').fill(opens);
  await page.getByRole('button', { name: 'Prefetch' }).click();
  await page.getByText('Hours have a beginning and an end').waitFor();
  await page.getByLabel('until', { exact: true }).fill(closes);
  await page.getByLabel('Done within').fill('9');
  await page.getByRole('button', { name: 'Prefetch' }).click();
  await page.getByText('outside its hours').waitFor();
  await page.getByText(`${opens}-${closes}Z`).waitFor();
  const held = page.url();
  await page.getByRole('link', { name: 'Run again' }).click();
  assert.equal(await page.getByLabel('Begin files only from').inputValue(), opens);
  assert.equal(await page.getByLabel('until', { exact: true }).inputValue(), closes);
  assert.equal(await page.getByLabel('Done within').inputValue(), '9');
  await page.goto(held);
  // Another page that is open hears of it by itself.
  const watching = await open();
  await signIn(watching);
  await watching.goto(held);
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('button', { name: 'Resume' }).waitFor();
  await watching.getByText('paused').waitFor();
  await watching.getByRole('button', { name: 'Resume' }).waitFor();
  await shot(watching, 'prefetch-paused');
  await page.getByRole('button', { name: 'Resume' }).click();
  await watching.getByText('outside its hours').waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await watching.locator('.numbers .state').getByText('failed').waitFor();
  await watching.getByRole('button', { name: 'Cancel' }).waitFor({ state: 'detached' });

  // For later, and called off, while the list is open.
  await page.goto(`${console_}/ui/refresh/prefetch`);
  await page.getByLabel('URLs, one a line').fill('http://demo.localhost/a.txt');
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 16);
  await page.getByLabel('Not before (UTC)').fill(tomorrow);
  await page.getByRole('button', { name: 'Prefetch' }).click();
  await page.getByText('It has not begun').waitFor();
  const list = await open();
  await signIn(list);
  await list.goto(`${console_}/ui/refresh/records`);
  const state = list.locator('tbody tr').first().locator('.state');
  assert.equal(await state.innerText(), 'pending');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await state.getByText(/failed|cancelled/).waitFor();
  await shot(list, 'records');

  await page.goto(`${console_}/ui/check`);
  await page.getByLabel('URL').fill('http://demo.localhost/install/package.zip');
  await page.getByRole('button', { name: 'Check' }).click();
  await page.getByText('3 of 3 POPs would answer from the cache.').waitFor();
  await shot(page, 'check');
  await page.getByLabel('URL').fill('http://elsewhere.example/');
  await page.getByRole('button', { name: 'Check' }).click();
  await page.getByText('is not a domain of this account').waitFor();
  await page.goto(`${console_}/ui/fleet`);
  await page.getByRole('row', { name: /pop-america .*well/ }).waitFor();
  await page.getByRole('img', { name: /Prefetches.*values/ }).waitFor();
  await page.getByRole('row', { name: /pop-america.* of .* of / }).waitFor();
  assert.equal(await page.getByRole('progressbar', { name: 'disk in use' }).count(), 3);
  await shot(page, 'fleet');
});

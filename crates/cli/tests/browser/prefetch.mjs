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
  await page.getByLabel('Playlists (HLS, DASH)').selectOption('all');
  await page.getByRole('button', { name: 'Prefetch' }).click();
  await page.locator('.numbers .state').getByText('complete').waitFor();
  await page.getByText('playlists are followed: all renditions').waitFor();
  await shot(page, 'prefetch-record');

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
  await page.getByRole('row', { name: /pop-america well/ }).waitFor();
  await page.getByRole('img', { name: /Prefetches.*values/ }).waitFor();
  await shot(page, 'fleet');
});

// A real Chromium, and a person in front of it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';

const packages = createRequire(path.join(process.env.FRESHEN_TEST_BROWSER, 'package.json'));
const { chromium } = packages('playwright-core');
const axe = fs.readFileSync(packages.resolve('axe-core'), 'utf8');

export const console_ = process.env.FRESHEN_CONSOLE;
const screenshots = process.env.FRESHEN_SCREENSHOTS;
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
// No step of these takes longer, even on a busy machine.
const PATIENCE_MS = 60_000;

const places = process.env.PATH.split(path.delimiter).map((folder) => path.join(folder, 'chromium'));
const chromiumPath = places.find((place) => fs.existsSync(place));
assert.ok(chromiumPath, 'chromium is not on the PATH; cargo xtask test installs it');
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'freshen-chromium-'));
const browser = await chromium.launch({
  executablePath: chromiumPath,
  args: [...FLAGS, `--crash-dumps-dir=${profile}`],
});

// A window; whatever a page complains of, or asks of another host, fails the flow.
export async function open({ scheme = 'light', javaScript = true, width = 1280 } = {}) {
  const context = await browser.newContext({
    colorScheme: scheme, javaScriptEnabled: javaScript, viewport: { width, height: 900 }, acceptDownloads: true,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // A refusal is an answer like others here; that it has its status is looked at by the flows.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(console_)) complaints.push(`asked for ${request.url()}`);
  });
  page.on('dialog', (dialog) => dialog.accept());
  page.complaints = complaints;
  return page;
}

export async function signIn(page) {
  await page.goto(`${console_}/ui/sign-in`);
  await page.getByLabel('User name').fill('demo');
  await page.getByLabel('Password').fill(process.env.FRESHEN_PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
}

export async function shot(page, name) {
  await page.screenshot({ path: path.join(screenshots, `${name}.png`), fullPage: true });
}

// No serious finding, and none worse.
export async function accessible(page, name) {
  // The page's own policy lets no foreign script in; what the debugger evaluates is not the page's.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const told = serious.map(({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map((node) => node.html).join('\n  ')}`);
  assert.deepEqual(told, [], name);
}

// Runs a flow to its end, or shows where it stopped.
export async function flow(name, steps) {
  const pages = [];
  const opened = async (how) => {
    const page = await open(how);
    pages.push(page);
    return page;
  };
  try {
    await steps(opened);
    for (const page of pages) assert.deepEqual(page.complaints, [], 'what pages complained of');
  } catch (error) {
    for (const [place, page] of pages.entries()) {
      await shot(page, `failed-${name}-${place}`).catch(() => {});
      console.error(`page ${place}: ${page.url()}\n${(await page.locator('body').innerText().catch(() => '')).slice(0, 4_000)}`);
    }
    console.error(error);
    process.exitCode = 1;
  } finally {
    await browser.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
}

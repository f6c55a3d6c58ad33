// Starts the real program with its simulated exchange on spare ports, and stops it.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const START_MAX_MS = 30_000;
const STOP_MAX_MS = 10_000;

/** The program to test: `BIST_BIN`, else the release build, else the debug build. */
export function binary() {
  const targets = [process.env.CARGO_TARGET_DIR, `${ROOT}target`].filter(Boolean);
  const places = [process.env.BIST_BIN, ...['release', 'debug'].flatMap((profile) => targets.map((target) => `${target}/${profile}/bist`))].filter(Boolean);
  const found = places.find((place) => existsSync(place));
  if (!found) throw new Error(`no program at ${places.join(', ')}: build it (cargo build --release) or set BIST_BIN`);
  return found;
}

async function sparePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise((done, fail) => {
    const server = createServer().once('error', fail);
    server.listen(0, '127.0.0.1', () => done(server));
  })));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

export class Program {
  #child = null;
  #log = [];

  /** `rate`: messages a second of the simulated exchange. */
  constructor({ rate = 2_000, seed = 7 } = {}) {
    Object.assign(this, { rate, seed });
  }

  get url() {
    return `http://127.0.0.1:${this.ports[0]}`;
  }

  /** The last lines of what the program said. */
  get log() {
    return this.#log.slice(-40).join('\n');
  }

  /** Starts it, the second time on the same ports, and waits until it is ready. */
  async start() {
    this.ports ??= await sparePorts(4);
    this.data ??= mkdtempSync(join(tmpdir(), 'bist-'));
    const [api, marketData, admin, users] = this.ports;
    const child = spawn(binary(), ['serve', '--source', 'sim', '--rate', String(this.rate), '--seed', String(this.seed)], {
      cwd: ROOT,
      env: {
        ...process.env,
        BIST__API__LISTEN: `127.0.0.1:${api}`,
        BIST__MARKET_DATA__LISTEN: `127.0.0.1:${marketData}`,
        BIST__USERS__LISTEN: `127.0.0.1:${users}`,
        BIST__ADMIN__LISTEN: `127.0.0.1:${admin}`,
        BIST__STORAGE__PATH: this.data,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    let exit = null;
    child.once('exit', (code, signal) => (exit = `exit ${code ?? signal}`));
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => this.#log.push(...data.toString().trimEnd().split('\n')));
    const begun = Date.now();
    for (;;) {
      if (exit) throw new Error(`the program ended while starting (${exit}):\n${this.log}`);
      if (Date.now() - begun > START_MAX_MS) throw new Error(`not ready after ${START_MAX_MS} ms:\n${this.log}`);
      const answer = await fetch(`${this.url}/readyz`).catch(() => null);
      if (answer?.ok) return this;
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  /** Stops it as an operator would; kills it when it does not end. Gives its exit code. */
  async stop() {
    const child = this.#child;
    if (!child || child.exitCode !== null) return child?.exitCode ?? null;
    const ended = new Promise((done) => child.once('exit', (code) => done(code)));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MAX_MS);
    const code = await ended;
    clearTimeout(timer);
    return code;
  }
}

/** The life of a page: when it was hidden, frozen or without a network, the connection is looked at anew. */

interface Target {
  addEventListener?(type: string, listener: (event: { persisted?: boolean }) => void): void;
  removeEventListener?(type: string, listener: (event: { persisted?: boolean }) => void): void;
}

/** Calls `wake` when page or network come back; what it returns stops that. Outside of browsers it does nothing. @internal */
export function watchPage(wake: () => void): () => void {
  const scope = globalThis as Target & { document?: Target & { visibilityState?: string } };
  const { document } = scope;
  const visible = (): void => {
    if (document?.visibilityState === "visible") wake();
  };
  const restored = ({ persisted }: { persisted?: boolean }): void => {
    if (persisted) wake();
  };
  const watched: [Target | undefined, string, (event: { persisted?: boolean }) => void][] = [
    [scope, "online", wake],
    [scope, "offline", wake],
    [scope, "pageshow", restored],
    [document, "visibilitychange", visible],
    [document, "resume", wake],
  ];
  for (const [target, type, listener] of watched) target?.addEventListener?.(type, listener);
  return () => {
    for (const [target, type, listener] of watched) target?.removeEventListener?.(type, listener);
  };
}

import { useEffect, useRef } from "react";

/** Places of one page, as links: each has an address of its own. */
export function Tabs({ label, items, here }: { label: string; items: [string, string, string?][]; here: string }) {
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    // On a phone the row is longer than the page is wide.
    const [row, current] = [nav.current, nav.current?.querySelector<HTMLElement>("[aria-current]")];
    if (row && current) row.scrollTo({ left: current.offsetLeft - row.offsetLeft - (row.clientWidth - current.clientWidth) / 2 });
  }, [here]);
  return (
    <nav ref={nav} className="tabs" aria-label={label}>
      {items.map(([address, name, count]) => (
        <a key={name} href={address} aria-current={name === here ? "page" : undefined}>
          {name}
          {count && <span className="count">{count}</span>}
        </a>
      ))}
    </nav>
  );
}

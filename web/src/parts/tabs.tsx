/** Places of one page, as links: each has an address of its own. */
export function Tabs({ label, items, here }: { label: string; items: [string, string, string?][]; here: string }) {
  return (
    <nav className="tabs" aria-label={label}>
      {items.map(([address, name, count]) => (
        <a key={name} href={address} aria-current={name === here ? "page" : undefined}>
          {name}
          {count && <span className="count">{count}</span>}
        </a>
      ))}
    </nav>
  );
}

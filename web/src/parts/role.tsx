import { useEffect, useState } from "react";
import { choiceOf, CHOICES, layerOf, layerRole, type Role } from "../given";

interface Props {
  /** Of the file. */
  name: string;
  role: Role;
  /** What no role means here; without it there must be one. */
  none?: string;
  onRole: (role: Role) => void;
}

/** What a file is for; a layer has a name. */
export function RoleChoice({ name, role, none, onRole }: Props) {
  const layer = layerOf(role);
  const [typed, setTyped] = useState(layer);
  useEffect(() => setTyped(layer), [layer]);
  return (
    <span className="role-choice">
      <select
        value={choiceOf(role)}
        aria-label={`What ${name} is`}
        onChange={(event) => onRole(event.target.value === "layer" ? layerRole(name.split(".")[0] ?? "") : event.target.value)}
      >
        {none !== undefined && <option value="">{none}</option>}
        {CHOICES.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
      {layer && (
        <input
          type="text"
          value={typed}
          aria-label={`Name of the layer ${name}`}
          title="What the layer is called, as rna"
          maxLength={31}
          onChange={(event) => setTyped(event.target.value)}
          onBlur={() => typed !== layer && onRole(layerRole(typed))}
          onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
        />
      )}
    </span>
  );
}

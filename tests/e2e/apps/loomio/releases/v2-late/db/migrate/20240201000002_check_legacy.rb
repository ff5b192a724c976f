# frozen_string_literal: true

# Stops with a count, as a release of Loomio once did.
class CheckLegacy < ActiveRecord::Migration[7.2]
  def up
    count = select_value("SELECT count(*) FROM discussions WHERE anonymous")
    raise "#{count} legacy anonymous discussions remain" if count.positive?
  end
end
